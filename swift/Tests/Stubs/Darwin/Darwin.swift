// Stands in for what a Mac's system library has and Linux's has not; the signatures used, and nothing more.
import Foundation

public let RUSAGE_SELF: Int32 = 0

public func getrusage(_: Int32, _ usage: UnsafeMutablePointer<rusage>!) -> Int32 {
    usage.pointee.ru_maxrss = 64 << 20
    return 0
}

public func sysctlbyname(
    _ name: UnsafePointer<CChar>!, _ value: UnsafeMutableRawPointer!,
    _ length: UnsafeMutablePointer<Int>!, _: UnsafeMutableRawPointer!, _: Int
) -> Int32 {
    let said = String(cString: name) == "kern.osversion" ? "25A000" : "Apple M0"
    let text = Array(said.utf8) + [0]
    if let value { value.copyMemory(from: text, byteCount: min(length.pointee, text.count)) }
    length.pointee = text.count
    return 0
}

/// Finds `sandbox_init` alone, which takes nothing away from this process.
public func dlsym(
    _: UnsafeMutableRawPointer!, _ symbol: UnsafePointer<CChar>!
) -> UnsafeMutableRawPointer! {
    guard String(cString: symbol) == "sandbox_init" else { return nil }
    let initialize:
        @convention(c) (
            UnsafePointer<CChar>, UInt64, UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?
        ) -> Int32 = { profile, flags, _ in
            String(cString: profile) == "no-internet" && flags == 1 ? 0 : -1
        }
    return unsafeBitCast(initialize, to: UnsafeMutableRawPointer.self)
}

import Foundation

/// Keeps this process off the network, before any framework is touched.
public enum Offline {
    /// Points the hub's clients at a port where nobody listens and, on a Mac, has the system refuse
    /// this process every connection to another machine.
    ///
    /// Returns whether the system refuses. Source of the profile: macOS `sandbox_init(3)`.
    @discardableResult
    public static func enforce() -> Bool {
        for (name, value) in [
            ("HF_ENDPOINT", "http://127.0.0.1:9"), ("HF_HUB_OFFLINE", "1"),
        ] {
            setenv(name, value, 1)
        }
        #if os(macOS)
            typealias Initialize =
                @convention(c) (
                    UnsafePointer<CChar>, UInt64,
                    UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?
                ) -> Int32
            guard let symbol = dlsym(UnsafeMutableRawPointer(bitPattern: -2), "sandbox_init") else {
                return false
            }
            let named: UInt64 = 1
            return unsafeBitCast(symbol, to: Initialize.self)("no-internet", named, nil) == 0
        #else
            return false
        #endif
    }
}

import Foundation

#if os(macOS) || DARWIN_STANDINS
    import Darwin
#endif

/// Keeps this process off the network, before any framework is touched.
public enum Offline {
    /// Points the hub's clients at a port where nobody listens and, on a Mac, tells the system to
    /// refuse this process every connection to another machine.
    ///
    /// Returns whether the system refuses. `CACHEDOCTOR_BRIDGE_SANDBOX=off` in the environment turns
    /// that off, for a Mac whose Core ML cannot compile in it. Source of the profile: macOS `sandbox_init(3)`.
    @discardableResult
    public static func enforce() -> Bool {
        for (name, value) in [
            ("HF_ENDPOINT", "http://127.0.0.1:9"), ("HF_HUB_OFFLINE", "1"),
        ] {
            setenv(name, value, 1)
        }
        guard ProcessInfo.processInfo.environment["CACHEDOCTOR_BRIDGE_SANDBOX"] != "off" else {
            return false
        }
        return refuseConnections()
    }

    #if os(macOS) || DARWIN_STANDINS
        private static func refuseConnections() -> Bool {
            typealias Initialize =
                @convention(c) (
                    UnsafePointer<CChar>, UInt64,
                    UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?
                ) -> Int32
            guard let symbol = Darwin.dlsym(UnsafeMutableRawPointer(bitPattern: -2), "sandbox_init")
            else {
                return false
            }
            let named: UInt64 = 1
            return unsafeBitCast(symbol, to: Initialize.self)("no-internet", named, nil) == 0
        }
    #else
        private static func refuseConnections() -> Bool {
            false
        }
    #endif
}

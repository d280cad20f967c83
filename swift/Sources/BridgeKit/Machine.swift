import Foundation

#if os(macOS) || DARWIN_STANDINS
    import Darwin
#endif

/// Facts about this machine that decide whether a model runs on it.
enum Machine {
    /// The peak memory of this process, if only the process can tell: Linux has it in `/proc`.
    static var peakBytes: JSON {
        #if os(macOS) || DARWIN_STANDINS
            var usage = rusage()
            guard Darwin.getrusage(RUSAGE_SELF, &usage) == 0 else { return .null }
            return .integer(usage.ru_maxrss)
        #else
            return .null
        #endif
    }

    static var json: JSON {
        [
            "system": .string(system),
            "version": .string(version),
            "build": .string(build),
            "chip": .string(chip),
            "cores": .integer(ProcessInfo.processInfo.processorCount),
            "memory_bytes": .integer(Int(clamping: ProcessInfo.processInfo.physicalMemory)),
        ]
    }

    private static var version: String {
        let parts = ProcessInfo.processInfo.operatingSystemVersion
        return "\(parts.majorVersion).\(parts.minorVersion).\(parts.patchVersion)"
    }

    #if os(macOS) || DARWIN_STANDINS
        private static let system = "macOS"
        private static var build: String { control("kern.osversion") }
        private static var chip: String { control("machdep.cpu.brand_string") }

        private static func control(_ name: String) -> String {
            var count = 0
            guard Darwin.sysctlbyname(name, nil, &count, nil, 0) == 0, count > 0 else { return "" }
            var text = [UInt8](repeating: 0, count: count)
            guard Darwin.sysctlbyname(name, &text, &count, nil, 0) == 0 else { return "" }
            return String(decoding: text.prefix { $0 != 0 }, as: UTF8.self)
        }
    #else
        private static var system: String { name(\.sysname) }
        private static var build: String { name(\.release) }
        private static var chip: String { name(\.machine) }

        private static func name<Field>(_ field: KeyPath<utsname, Field>) -> String {
            var names = utsname()
            guard uname(&names) == 0 else { return "" }
            return withUnsafeBytes(of: names[keyPath: field]) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
        }
    #endif
}

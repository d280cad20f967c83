import Foundation

/// Standard input and output as the protocol needs them: one answer a line, and nothing else.
///
/// Frameworks print; what they print goes to standard error, because the real standard output is
/// kept here alone.
public struct Channel: Sendable {
    /// Whether standard input was open when the program started.
    public let hasInput: Bool
    private let output: Int32

    /// Takes standard output for answers. To be called first, and once.
    public init() {
        hasInput = fcntl(STDIN_FILENO, F_GETFD) != -1
        for descriptor in STDIN_FILENO...STDERR_FILENO where fcntl(descriptor, F_GETFD) == -1 {
            _ = open("/dev/null", O_RDWR)  // the lowest that is free: this one
        }
        output = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3)
        dup2(STDERR_FILENO, STDOUT_FILENO)
        signal(SIGPIPE, SIG_IGN)
    }

    /// Writes an answer on a line of its own; ends the program where nobody reads.
    public func answer(_ value: JSON) {
        write(value.line)
    }

    /// Writes text, and a newline after it.
    public func write(_ text: Data) {
        let bytes = [UInt8](text) + [UInt8(ascii: "\n")]
        var done = 0
        while done < bytes.count {
            let count = bytes.withUnsafeBytes { buffer in
                Foundation.write(output, buffer.baseAddress! + done, bytes.count - done)
            }
            if count < 0 {
                if errno == EINTR { continue }
                exit(ExitCode.cannotLook.rawValue)
            }
            done += count
        }
    }
}

/// Lines from standard input, none of them longer than a limit.
struct LineReader {
    enum Line: Equatable {
        case text(Data)
        case tooLong
    }

    static let limit = 1 << 20
    private var held = Data()
    private var ended = false

    /// Returns the next line without its newline, or `nil` at the end; of one that is too long the
    /// rest is passed over.
    mutating func next() -> Line? {
        var tooLong = false
        while true {
            if let newline = held.firstIndex(of: UInt8(ascii: "\n")) {
                let line = Data(held[..<newline])
                held = Data(held[(newline + 1)...])
                return tooLong || line.count > Self.limit ? .tooLong : .text(line)
            }
            if held.count > Self.limit {
                tooLong = true
                held = Data()
            }
            if ended {
                defer { held = Data() }
                return tooLong ? .tooLong : held.isEmpty ? nil : .text(held)
            }
            fill()
        }
    }

    private mutating func fill() {
        var buffer = [UInt8](repeating: 0, count: 65536)
        let count = read(STDIN_FILENO, &buffer, buffer.count)
        if count > 0 {
            held.append(contentsOf: buffer.prefix(count))
        } else if count == 0 || errno != EINTR {
            ended = true
        }
    }
}

import Foundation

/// Standard input and output as the protocol needs them: one answer per line, and nothing else.
///
/// Frameworks print; what they print goes to standard error, because only this type keeps the real
/// standard output.
public struct Channel: Sendable {
    /// Whether standard input was open when the program started.
    let hasInput: Bool
    private let input: Int32
    private let output: Int32

    /// Takes over the standard streams. Call it first, and once.
    static var standard: Channel {
        let isOpen = fcntl(STDIN_FILENO, F_GETFD) != -1
        for descriptor in STDIN_FILENO...STDERR_FILENO where fcntl(descriptor, F_GETFD) == -1 {
            _ = open("/dev/null", O_RDWR)  // opens the lowest free descriptor: this one
        }
        return Channel(
            input: isOpen ? STDIN_FILENO : nil, output: STDOUT_FILENO, errors: STDERR_FILENO)
    }

    /// Keeps `output` for answers: what other code writes to it goes to `errors`.
    init(input: Int32?, output: Int32, errors: Int32) {
        hasInput = input != nil
        self.input = input ?? STDIN_FILENO
        self.output = fcntl(output, F_DUPFD_CLOEXEC, 3)
        dup2(errors, output)
        signal(SIGPIPE, SIG_IGN)
    }

    /// Closes the output: nothing can be answered any more.
    func end() {
        close(output)
    }

    /// The input, line by line.
    var lines: LineReader {
        LineReader(input)
    }

    /// Writes an answer on its own line; ends the program if nobody reads.
    public func answer(_ value: JSON) {
        write(value.line)
    }

    /// Writes text and a newline.
    public func write(_ text: Data) {
        let bytes = [UInt8](text) + [UInt8(ascii: "\n")]
        var done = 0
        while done < bytes.count {
            let count = bytes.withUnsafeBytes { buffer in
                Foundation.write(output, buffer.baseAddress! + done, bytes.count - done)
            }
            if count < 0 {
                if errno == EINTR || waited(for: output, POLLOUT) { continue }
                exit(ExitCode.cannotLook.rawValue)
            }
            done += count
        }
    }
}

/// Waits until a non-blocking descriptor is ready; returns whether it was one.
///
/// Anyone who shares a terminal or a pipe with us can have set this: it belongs to the open file.
private func waited(for descriptor: Int32, _ events: Int32) -> Bool {
    guard errno == EAGAIN else { return false }
    var one = pollfd(fd: descriptor, events: Int16(events), revents: 0)
    return poll(&one, 1, -1) >= 0 || errno == EINTR
}

/// Lines from a descriptor, none longer than a limit.
struct LineReader {
    enum Line: Equatable {
        case text(Data)
        case tooLong
    }

    static let limit = 1 << 20
    private let descriptor: Int32
    private var held = Data()
    private var ended = false

    init(_ descriptor: Int32) {
        self.descriptor = descriptor
    }

    /// Returns the next line without its newline, or `nil` at the end; skips the rest of a line that
    /// is too long.
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
        let count = read(descriptor, &buffer, buffer.count)
        if count > 0 {
            held.append(contentsOf: buffer.prefix(count))
        } else if count == 0 || (errno != EINTR && !waited(for: descriptor, POLLIN)) {
            ended = true
        }
    }
}

import Foundation

/// Requests as JSON lines on standard input, an answer to each on standard output, in order.
///
/// `{"id": …, "request": …}`, where `id` is anything and is returned, and a request is
///
/// - `info`;
/// - `load` or `check`, with `model_dir` and optionally `model`, `tokenizer_dir` and `language`, or
///   for a check `bundle`;
/// - `transcribe`, with `audio`, by the model loaded last.
///
/// A request that fails is answered with an error, and the next one is read; when the input ends,
/// the program exits with the first error's code.
struct Server {
    private let bridge: Bridge
    private let session: Session

    init(_ bridge: Bridge) {
        self.bridge = bridge
        session = Session(bridge.engine)
    }

    func run() async throws -> ExitCode {
        var reader = bridge.channel.lines
        var code = ExitCode.done
        var count = 0
        while bridge.channel.hasInput, let line = reader.next() {
            count += 1
            var id = JSON.null
            do {
                let request = try Self.parse(line)
                id = request["id", default: .null]
                bridge.channel.answer(
                    bridge.head(try await answer(request).merging(["id": id]) { $1 }))
            } catch {
                let known = BridgeError.wrapping(error)
                bridge.channel.answer(bridge.head(["error": known.json, "id": id]))
                if code == .done { code = known.code.exitCode }
            }
        }
        if count == 0 {
            throw BridgeError(.noInput, "no request: standard input is closed or empty")
        }
        return code
    }

    private func answer(_ request: [String: JSON]) async throws -> [String: JSON] {
        switch request["request"]?.string {
        case "info": return bridge.info
        case "load":
            return ["load_time": .seconds(try await session.load(try Self.choice(request)))]
        case "check": return try await bridge.check(try Self.choice(request)).0
        case "transcribe":
            return try await session.transcribe(Wave(path: try Self.path("audio", request)))
        case let other?:
            throw BridgeError(.unknownRequest, "no request `\(other.prefix(80))`")
        case nil:
            throw BridgeError(.malformedRequest, "a request needs a name in `request`")
        }
    }

    private static func choice(_ request: [String: JSON]) throws -> ModelChoice {
        ModelChoice(
            folder: try path("model_dir", request), model: request["model"]?.string,
            tokenizerFolder: request["tokenizer_dir"]?.string,
            language: request["language"]?.string, bundle: request["bundle"]?.string)
    }

    private static func path(_ name: String, _ request: [String: JSON]) throws -> String {
        guard let path = request[name]?.string, !path.isEmpty else {
            let asked = request["request"]?.string ?? ""
            throw BridgeError(.malformedRequest, "`\(asked)` needs a path in `\(name)`")
        }
        return path
    }

    private static func parse(_ line: LineReader.Line) throws -> [String: JSON] {
        guard case .text(let text) = line else {
            let limit = LineReader.limit >> 20
            throw BridgeError(.lineTooLong, "a request is longer than \(limit) MiB")
        }
        guard case .object(let request)? = try? JSON(parsing: text) else {
            throw BridgeError(.malformedRequest, "a request must be a JSON object on one line")
        }
        return request
    }
}

import Foundation
import Testing

@testable import BridgeKit

/// An engine that hears what its test says, and fails when its test says so.
private final class Parrot: Engine {
    let about: EngineFacts
    var fails: (prepare: Bool, load: Bool, transcribe: Bool) = (false, false, false)

    init(_ layout: Layout = .fluidAudio, isLinked: Bool = true) {
        about = EngineFacts(layout: layout, isLinked: isLinked, folders: ["/models"])
    }

    private func fail(_ wanted: Bool) throws {
        if wanted { throw NSError(domain: "parrot", code: 7) }
    }

    func prepare(_ folder: ModelFolder, _ choice: ModelChoice) throws {
        try fail(fails.prepare)
    }

    func load() async throws {
        try fail(fails.load)
    }

    func transcribe(_ path: String) async throws -> Transcript {
        try fail(fails.transcribe)
        return Transcript(
            text: "so it is", language: nil, segments: [.init(start: 0, end: 1.5, text: "so it is")]
        )
    }
}

/// Loads everything but what is called so.
private struct Loader: BundleLoader {
    var refused = ""

    func load(_ bundle: ModelBundle) async throws {
        if bundle.name == refused {
            throw NSError(
                domain: "ml", code: -14, userInfo: [NSLocalizedDescriptionKey: "no plan\n-14"])
        }
    }

    func compile(_ path: String, to output: String) async throws {
        try FileManager.default.createDirectory(
            atPath: output, withIntermediateDirectories: false)
    }
}

/// Reads a pipe to its end on a thread of its own: what writes to it may wait for that.
private final class Reader: @unchecked Sendable {
    private let lock = NSLock()
    private var held: String?

    init(_ pair: Pair, after delay: TimeInterval = 0) {
        Thread.detachNewThread { [self] in
            Thread.sleep(forTimeInterval: delay)
            let said = pair.all()
            lock.withLock { held = said }
        }
    }

    /// All of it, once the other end was closed.
    var text: String {
        get async throws {
            while true {
                if let held = lock.withLock({ held }) { return held }
                try await Task.sleep(for: .milliseconds(2))
            }
        }
    }
}

/// Two ends of a pipe.
private struct Pair {
    let read: Int32
    let write: Int32

    init() {
        var ends: [Int32] = [0, 0]
        #expect(pipe(&ends) == 0)
        (read, write) = (ends[0], ends[1])
    }

    /// All that comes until the other end is closed.
    func all() -> String {
        var held = Data()
        var buffer = [UInt8](repeating: 0, count: 65536)
        while case let count = Foundation.read(read, &buffer, buffer.count), count > 0 {
            held.append(contentsOf: buffer.prefix(count))
        }
        close(read)
        return String(decoding: held, as: UTF8.self)
    }
}

/// What a bridge answers to words, or to requests, and how it ends.
private func ask(
    _ words: String..., given: String? = "", engine: Parrot = Parrot(), loader: Loader = Loader()
) async throws -> (code: ExitCode, answers: [[String: JSON]], text: String) {
    let (input, output, errors) = (Pair(), Pair(), Pair())
    let channel = Channel(
        input: given == nil ? nil : input.read, output: output.write, errors: errors.write)
    let bridge = Bridge(loader: loader, channel: channel, engine: { engine })
    let requests = Array((given ?? "").utf8)
    let writer = Thread {
        var done = 0
        while done < requests.count {
            let count = requests[done...].withUnsafeBytes {
                write(input.write, $0.baseAddress, $0.count)
            }
            if count <= 0 { break }
            done += count
        }
        close(input.write)
    }
    writer.start()
    let reader = Reader(output)
    let code = await bridge.run(words)
    channel.end()
    close(output.write)
    close(errors.write)
    #expect(errors.all() == "")
    let text = try await reader.text
    let answers = text.split(separator: "\n").compactMap { line -> [String: JSON]? in
        guard case .object(let answer)? = try? JSON(parsing: Data(line.utf8)) else { return nil }
        return answer
    }
    return (code, answers, text)
}

private func error(_ answer: [String: JSON]?) -> String? {
    guard case .object(let said)? = answer?["error"] else { return nil }
    return said["code"]?.string
}

/// A whole model of FluidAudio, and a second of sound.
private func withModel(_ body: (_ model: String, _ clip: String) async throws -> Void) async throws
{
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
    defer { try? FileManager.default.removeItem(at: folder) }
    let model = folder.appendingPathComponent("parakeet-tdt-0.6b-v3")
    let whole = try #require(Table.shared.cases.first { $0.name == "whole: program" })
    for name in ["Preprocessor", "Encoder", "Decoder", "JointDecisionv3"] {
        try whole.build(model.appendingPathComponent(name + ".mlmodelc"))
    }
    try write(Array("[\"a\"]".utf8), model.appendingPathComponent("parakeet_vocab.json"))
    let clip = folder.appendingPathComponent("a.wav")
    try write(wave(), clip)
    try await body(model.path, clip.path)
}

private func line(_ request: JSON) -> String {
    String(decoding: request.line, as: UTF8.self) + "\n"
}

@Suite struct BridgeTests {
    @Test func pagesAreForPeople() async throws {
        let help = try await ask("--help")
        #expect(help.code == .done)
        #expect(help.text.contains("--tokenizer-dir") && help.text.hasSuffix("\n"))
        let version = try await ask("--version")
        #expect(version.text == "\(bridgeVersion), for fluidaudio \(Layout.fluidAudio.version)\n")
    }

    @Test func infoSaysWhatIsHere() async throws {
        let said = try await ask("info")
        #expect(said.code == .done)
        #expect(said.answers.count == 1)
        #expect(said.answers[0]["protocol"] == .integer(protocolVersion))
        #expect(said.answers[0]["folders"] == ["/models"])
        guard case .object(let engine)? = said.answers[0]["engine"] else {
            Issue.record("no engine")
            return
        }
        #expect(engine["linked"] == true)
        #expect(engine["why"] == .null)
        let other = try await ask("info", engine: Parrot(.whisperKit, isLinked: false))
        guard case .object(let absent)? = other.answers[0]["engine"] else { return }
        #expect(absent["why"]?.string == BridgeError.needsMac.message)
        guard case .object(let machine)? = said.answers[0]["machine"] else { return }
        #expect(Set(machine.keys).count == 6)
        #expect(machine["system"]?.string?.isEmpty == false)
    }

    @Test func aRecordingIsTranscribed() async throws {
        try await withModel { model, clip in
            let said = try await ask(clip, "--model-dir", model)
            #expect(said.code == .done)
            #expect(said.answers[0]["text"] == "so it is")
            #expect(said.answers[0]["run"] == 1)
            #expect(said.answers[0]["language"] == .null)
            #expect(said.text.contains(#""text":"so it is","transcription_time""#))
            #expect(said.text.contains(#""segments":[{"end":1.5,"start":0,"text":"so it is"}]"#))
            let plain = try await ask(clip, "--model-dir", model, "--format", "text")
            #expect(plain.text == "so it is\n")
        }
    }

    @Test func whateverFailsIsAnAnswer() async throws {
        try await withModel { model, clip in
            let wrong = try await ask("--fast", "--model-dir", model)
            #expect(wrong.code == .usage)
            #expect(error(wrong.answers[0]) == "usage")
            for fails in [(true, false, false), (false, true, false), (false, false, true)] {
                let parrot = Parrot()
                parrot.fails = fails
                let said = try await ask(clip, "--model-dir", model, engine: parrot)
                #expect(said.code == .engineFailed)
                #expect(error(said.answers[0]) == "engine-failed")
            }
            let vad = model + "/../silero-vad"
            let whole = try #require(Table.shared.cases.first { $0.name == "whole: program" })
            try whole.build(
                URL(fileURLWithPath: vad + "/silero-vad-unified-256ms-v6.2.1.mlmodelc"))
            let only = try await ask(clip, "--model-dir", vad)
            #expect(error(only.answers[0]) == "check-only")
            #expect(only.code == .cannotLook)
        }
    }

    @Test func aCheckLoadsEachBundleOrOne() async throws {
        try await withModel { model, _ in
            let whole = try await ask("check", "--model-dir", model)
            #expect(whole.code == .done)
            #expect(whole.answers[0]["failed"] == 0)
            let one = try await ask(
                "check", "--model-dir", model, "--bundle", "Decoder.mlmodelc",
                loader: Loader(refused: "Encoder.mlmodelc"))
            #expect(one.code == .done)
            guard case .array(let results)? = one.answers[0]["bundles"] else { return }
            #expect(results.count == 1)
            let none = try await ask("check", "--model-dir", model, "--bundle", "x")
            #expect(error(none.answers[0]) == "missing")
            let refused = try await ask(
                "check", "--model-dir", model, loader: Loader(refused: "Encoder.mlmodelc"))
            #expect(refused.code == .failedCheck)
            #expect(refused.answers[0]["failed"] == 1)
            try write(
                Array("[1]".utf8), URL(fileURLWithPath: model + "/parakeet_vocab.json"))
            try FileManager.default.removeItem(atPath: model + "/Decoder.mlmodelc/coremldata.bin")
            let two = try await ask("check", "--model-dir", model)
            #expect(two.answers[0]["failed"] == 2)
            #expect(two.text.contains("\"fault\":\"hollow-bundle\""))
        }
    }

    @Test func withoutTheFrameworkFilesComeBeforeTheMachine() async throws {
        try await withModel { model, _ in
            let absent = Parrot(isLinked: false)
            let whole = try await ask("check", "--model-dir", model, engine: absent)
            #expect(whole.code == .wrongPlatform)
            try FileManager.default.removeItem(atPath: model + "/parakeet_vocab.json")
            let broken = try await ask("check", "--model-dir", model, engine: absent)
            #expect(error(broken.answers[0]) == "broken-bundle")
        }
    }

    @Test func aPackageIsCompiledOnce() async throws {
        try await withModel { model, clip in
            let new = model + "/new.mlmodelc"
            let done = try await ask("compile", model, new)
            #expect(done.code == .done)
            let again = try await ask("compile", model, new)
            #expect(error(again.answers[0]) == "already-there")
            let nothing = try await ask("compile", clip, new + "2")
            #expect(error(nothing.answers[0]) == "missing")
        }
    }

    @Test func requestsAreAnsweredInOrder() async throws {
        try await withModel { model, clip in
            let given = [
                line(["request": "info", "id": 1]),
                line(["request": "transcribe", "audio": .string(clip)]),
                line(["request": "load", "model_dir": .string(model), "id": "two"]),
                line(["request": "transcribe", "audio": .string(clip)]),
                line([
                    "request": "check", "model_dir": .string(model), "bundle": "Encoder.mlmodelc",
                ]),
                line(["request": "dance"]), line(["request": 7]), line(["request": "load"]),
                "nonsense\n", "\n",
                String(repeating: "x", count: LineReader.limit + 10) + "\n",
                line(["request": "info"]).dropLast().description,
            ]
            let said = try await ask("serve", given: given.joined())
            #expect(said.code == .usage)
            #expect(
                said.answers.map(error) == [
                    nil, "not-loaded", nil, nil, nil, "unknown-request", "malformed-request",
                    "malformed-request", "malformed-request", "malformed-request", "line-too-long",
                    nil,
                ])
            #expect(said.answers[0]["id"] == 1)
            #expect(said.answers[2]["id"] == "two")
        }
    }

    @Test func nothingAskedIsAnError() async throws {
        for given in ["", nil] {
            let said = try await ask("serve", given: given)
            #expect(error(said.answers[0]) == "no-input")
            #expect(said.code == .usage)
        }
    }

    @Test func aStreamThatDoesNotBlockIsWaitedFor() async throws {
        let (input, output, errors) = (Pair(), Pair(), Pair())
        for descriptor in [input.read, output.write] {
            #expect(fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK) == 0)
        }
        let channel = Channel(input: input.read, output: output.write, errors: errors.write)
        let bridge = Bridge(loader: Loader(), channel: channel, engine: { Parrot() })
        Thread.detachNewThread {
            for request in Array(repeating: line(["request": "info"]), count: 20) {
                usleep(5_000)
                let bytes = Array(request.utf8)
                _ = bytes.withUnsafeBytes { write(input.write, $0.baseAddress, $0.count) }
            }
            close(input.write)
        }
        let reader = Reader(output, after: 0.2)  // the pipe is full meanwhile
        let code = await bridge.run(["serve"])
        channel.end()
        close(output.write)
        #expect(code == .done)
        let text = try await reader.text
        #expect(text.split(separator: "\n").count == 20)
    }

    @Test func theStandardStreamsAreTakenAndTheNetworkIsRefused() {
        let (kept, isOpen) = (dup(STDOUT_FILENO), fcntl(STDIN_FILENO, F_GETFD) != -1)
        let channel = Channel.standard
        dup2(kept, STDOUT_FILENO)
        close(kept)
        #expect(channel.hasInput == isOpen)
        Offline.enforce()
        #expect(ProcessInfo.processInfo.environment["HF_HUB_OFFLINE"] == "1")
        setenv("CACHEDOCTOR_BRIDGE_SANDBOX", "off", 1)
        defer { unsetenv("CACHEDOCTOR_BRIDGE_SANDBOX") }
        #expect(!Offline.enforce())
    }

    @Test func everyErrorHasAnExitCode() {
        #expect(
            Set(ErrorCode.allCases.map(\.exitCode)) == [
                .usage, .cannotLook, .engineFailed, .wrongPlatform,
            ])
        let fault = BundleFault(.hollow, "is missing")
        #expect(BridgeError.wrapping(fault).code == .brokenBundle)
    }
}

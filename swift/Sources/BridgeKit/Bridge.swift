import Foundation

/// The commands, for any engine; every answer, even an error, is one line of JSON.
public struct Bridge {
    let channel: Channel
    let engine: any Engine
    let loader: any BundleLoader
    let refused: Bool

    /// Takes over the standard streams and shuts off the network, then makes the engine.
    public init(loader: any BundleLoader, engine: () -> any Engine) {
        self.init(loader: loader, channel: .standard, engine: engine)
    }

    init(loader: any BundleLoader, channel: Channel, engine: () -> any Engine) {
        self.channel = channel
        refused = Offline.enforce()
        self.loader = loader
        self.engine = engine()
    }

    /// Runs the command line, and ends the program.
    public func run() async -> Never {
        exit(await run(Array(CommandLine.arguments.dropFirst())).rawValue)
    }

    /// Runs these arguments; every error is an answer.
    func run(_ words: [String]) async -> ExitCode {
        do {
            return try await run(try Arguments(words))
        } catch {
            let known = BridgeError.wrapping(error)
            channel.answer(head(["error": known.json]))
            return known.code.exitCode
        }
    }

    private func run(_ arguments: Arguments) async throws -> ExitCode {
        switch arguments.command {
        case .help:
            channel.write(Data(Arguments.help.utf8))
        case .version:
            let about = engine.about.layout
            channel.write(Data("\(bridgeVersion), for \(about.engine) \(about.version)".utf8))
        case .info:
            channel.answer(head(info))
        case .transcribe:
            return try await transcribe(arguments)
        case .check:
            let (answer, code) = try await check(arguments.choice)
            channel.answer(head(answer))
            return code
        case .compile:
            channel.answer(head(try await compile(arguments.operands[0], arguments.operands[1])))
        case .serve:
            return try await Server(self).run()
        }
        return .done
    }

    /// An answer with the fields that every answer has.
    func head(_ answer: [String: JSON]) -> JSON {
        .object(answer.merging(["protocol": .integer(protocolVersion)]) { own, _ in own })
    }

    var info: [String: JSON] {
        [
            "bridge": .string(bridgeVersion),
            "engine": engine.about.json,
            "folders": .array(engine.about.folders.map(JSON.string)),
            "machine": Machine.json,
            "network_refused_by_system": .bool(refused),
        ]
    }

    private func transcribe(_ arguments: Arguments) async throws -> ExitCode {
        let wave = try Wave(path: arguments.operands[0])  // before the model, which takes longer
        let session = Session(engine)
        _ = try await session.load(arguments.choice)
        let answer = try await session.transcribe(wave)
        switch arguments.format {
        case .json: channel.answer(head(answer))
        case .text: channel.write(Data((answer["text"]?.string ?? "").utf8))
        }
        return .done
    }

    /// Loads each bundle of the model, one after the other, and reads the files beside them.
    func check(_ choice: ModelChoice) async throws -> ([String: JSON], ExitCode) {
        let folder = try ModelFolder(
            path: choice.folder, layout: engine.about.layout, model: choice.model)
        guard engine.about.isLinked else {
            try folder.requireWhole()
            throw BridgeError.needsMac
        }
        let bundles = (folder.bundles + folder.others).filter { bundle in
            choice.bundle.map { ("/" + bundle.path).hasSuffix("/" + $0) } ?? true
        }
        guard !bundles.isEmpty else {
            throw BridgeError(.missing, "no bundle `\(choice.bundle ?? "")` in `\(folder.path)`")
        }
        var results: [JSON] = []
        var failed = 0
        for bundle in bundles {
            let start = ContinuousClock.now
            var result: [String: JSON] = [
                "bundle": .string(String(bundle.path.dropFirst(folder.path.count + 1))),
                "units": .string(bundle.units.rawValue),
            ]
            do {
                if let fault = try ModelFolder.fault(bundle.path) { throw fault }
                try await loader.load(bundle)
                result["ok"] = true
            } catch {
                failed += 1
                result["ok"] = false
                result.merge(Self.reason(error)) { _, new in new }
            }
            result["load_time"] = .seconds(start.duration(to: .now) / .seconds(1))
            results.append(.object(result))
        }
        let beside = choice.bundle == nil ? try engine.problems(folder, choice) : []
        failed += beside.count { $0.problem != nil }
        let answer: [String: JSON] = [
            "model_dir": .string(folder.path), "model": .string(folder.model.name),
            "bundles": .array(results),
            "files": .array(beside.map { Self.json($0, of: folder) }),
            "failed": .integer(failed),
        ]
        return (answer, failed == 0 ? .done : .failedCheck)
    }

    /// The report on a file: a fault if it is not whole, none if only the engine objects.
    private static func json(
        _ file: (name: String, problem: BridgeError?), of folder: ModelFolder
    ) -> JSON {
        let fault: JSON =
            switch file.problem?.code {
            case nil: .null
            case .missing: "missing-file"
            case .missingTokenizer: "missing-tokenizer"
            default: isJSON(folder.path + "/" + file.name) ? .null : "malformed-header"
            }
        return [
            "file": .string(file.name), "ok": .bool(file.problem == nil), "fault": fault,
            "message": file.problem.map { .string($0.message) } ?? .null,
        ]
    }

    /// Why a bundle does not load: a fault in its form, or Core ML's message.
    private static func reason(_ error: any Error) -> [String: JSON] {
        guard let fault = error as? BundleFault else {
            let known = BridgeError.wrapping(error)
            return ["fault": .null, "message": .string(known.message)]
        }
        return [
            "fault": .string(fault.kind.rawValue), "message": .string(fault.message),
            "member": .string(fault.member),
            "measured": fault.measured.map { .integer(Int(clamping: $0)) } ?? .null,
            "expected": fault.expected.map { .integer(Int(clamping: $0)) } ?? .null,
        ]
    }

    private func compile(_ package: String, _ output: String) async throws -> [String: JSON] {
        guard case .folder = try kind(of: package) else {
            throw BridgeError(.missing, "no package folder at `\(package)`")
        }
        guard case .nothing(isLink: false) = try kind(of: output) else {
            throw BridgeError(.alreadyThere, "`\(output)` already exists", hint: "name a new one")
        }
        let start = ContinuousClock.now
        try await loader.compile(package, to: output)
        return [
            "output": .string(output),
            "compile_time": .seconds(start.duration(to: .now) / .seconds(1)),
        ]
    }
}

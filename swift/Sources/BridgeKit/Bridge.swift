import Foundation

/// The commands, for whichever engine; every answer, also of an error, is one line of JSON.
public struct Bridge {
    let channel: Channel
    let engine: any Engine
    let loader: any BundleLoader
    let refused: Bool

    /// Takes the standard streams and the network away, then makes the engine.
    public init(loader: any BundleLoader, engine: () -> any Engine) {
        channel = Channel()
        refused = Offline.enforce()
        self.loader = loader
        self.engine = engine()
    }

    /// Does what the command line says, and ends the program.
    public func run() async -> Never {
        do {
            let arguments = try Arguments(Array(CommandLine.arguments.dropFirst()))
            exit(try await run(arguments).rawValue)
        } catch {
            let known = BridgeError.wrapping(error)
            channel.answer(head(["error": known.json]))
            exit(known.code.exitCode.rawValue)
        }
    }

    private func run(_ arguments: Arguments) async throws -> ExitCode {
        switch arguments.command {
        case .help:
            channel.write(Data(Arguments.help.utf8))
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

    /// An answer with what every answer has.
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

    /// Loads each bundle of the model, one after the other.
    func check(_ choice: ModelChoice) async throws -> ([String: JSON], ExitCode) {
        let folder = try ModelFolder(
            path: choice.folder, layout: engine.about.layout, model: choice.model)
        guard engine.about.isLinked else {
            try folder.requireWhole()
            throw BridgeError.needsMac
        }
        var results: [JSON] = []
        var failed = 0
        for path in folder.bundles {
            let start = ContinuousClock.now
            var result: [String: JSON] = [
                "bundle": .string(URL(fileURLWithPath: path).lastPathComponent)
            ]
            do {
                if let fault = try ModelFolder.fault(path) { throw fault }
                try await loader.load(path)
                result["ok"] = true
            } catch {
                failed += 1
                result["ok"] = false
                result.merge(Self.reason(error)) { _, new in new }
            }
            result["load_time"] = .seconds(start.duration(to: .now) / .seconds(1))
            results.append(.object(result))
        }
        let answer: [String: JSON] = [
            "model_dir": .string(folder.path), "model": .string(folder.model),
            "bundles": .array(results), "failed": .integer(failed),
        ]
        return (answer, failed == 0 ? .done : .failedCheck)
    }

    /// Why a bundle does not load: a fault of its form, or what Core ML says.
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
            throw BridgeError(.missing, "the package `\(package)` is not there, or no folder")
        }
        guard case .nothing(isLink: false) = try kind(of: output) else {
            throw BridgeError(.alreadyThere, "`\(output)` is there already", hint: "name a new one")
        }
        let start = ContinuousClock.now
        try await loader.compile(package, to: output)
        return [
            "output": .string(output),
            "compile_time": .seconds(start.duration(to: .now) / .seconds(1)),
        ]
    }
}

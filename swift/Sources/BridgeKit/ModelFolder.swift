import Foundation

/// Which bundles and files make up a model, for one engine.
public struct Layout: Sendable {
    /// A set of files that one kind of model consists of.
    public struct Model: Sendable {
        /// What the engine calls it; empty where an engine has only one kind.
        public let name: String
        /// Bundles without their ending.
        public let bundles: [String]
        /// Files beside the bundles.
        public let files: [String]

        public init(_ name: String, bundles: [String], files: [String] = []) {
            self.name = name
            self.bundles = bundles
            self.files = files
        }
    }

    public let engine: String
    public let models: [Model]
    /// Endings of bundles that the engine opens, in order of preference.
    public let endings: [String]

    public init(engine: String, models: [Model], endings: [String]) {
        self.engine = engine
        self.models = models
        self.endings = endings
    }

    /// Argmax's WhisperKit, 1.0.0. Source: `WhisperKit.swift` `loadModels`.
    public static let whisperKit = Layout(
        engine: "whisperkit",
        models: [Model("", bundles: ["MelSpectrogram", "AudioEncoder", "TextDecoder"])],
        endings: [".mlmodelc", ".mlpackage"])

    /// FluidAudio 0.15.5, its four transducers. Source: `ModelNames.swift`, `AsrModels.swift`.
    public static let fluidAudio = Layout(
        engine: "fluidaudio",
        models: [
            Model(
                "parakeet-tdt-0.6b-v3",
                bundles: ["Preprocessor", "Encoder", "Decoder", "JointDecisionv3"],
                files: ["parakeet_vocab.json"]),
            Model(
                "parakeet-tdt-0.6b-v2",
                bundles: ["Preprocessor", "Encoder", "Decoder", "JointDecision"],
                files: ["parakeet_vocab.json"]),
            Model(
                "parakeet-tdt-ctc-110m",
                bundles: ["Preprocessor", "Decoder", "JointDecision"],
                files: ["parakeet_vocab.json"]),
            Model(
                "parakeet-ja",
                bundles: ["Preprocessor", "Encoder", "Decoderv2", "Jointerv2"],
                files: ["vocab.json"]),
        ],
        endings: [".mlmodelc"])

    static let every = [whisperKit, fluidAudio]

    var json: JSON {
        .array(
            models.map { model in
                [
                    "name": .string(model.name),
                    "bundles": .array(model.bundles.map { .string($0 + endings[0]) }),
                    "files": .array(model.files.map(JSON.string)),
                ]
            })
    }
}

/// A folder with a model of one engine in it, which nothing was opened of yet.
public struct ModelFolder: Equatable, Sendable {
    public let path: String
    /// Which of the engine's kinds of model it is.
    public let model: String
    /// Paths of the bundles that the engine opens, there or not.
    public let bundles: [String]
    /// Paths of the files beside the bundles that it needs.
    public let files: [String]

    /// Finds the model at `path`, or in the one folder below it that holds one.
    ///
    /// `model` names its kind; by default the folder's name or what is in it tells. Throws `missing`,
    /// `not-a-folder`, `no-model` where there is no bundle, `other-engine` and `several-models`.
    public init(path: String, layout: Layout, model: String? = nil) throws {
        let path = URL(fileURLWithPath: path).standardizedFileURL.path
        switch try kind(of: path) {
        case .folder: break
        case .nothing: throw BridgeError(.missing, "the model folder `\(path)` is not there")
        case .file, .other:
            throw BridgeError(.notAFolder, "the model folder `\(path)` is a file")
        }
        let place = try Self.place(path, layout)
        let names = try listing(place)
        try Self.refuseOthers(place, names, layout)
        let found = try Self.choose(place, names, layout, model)
        self.path = place
        self.model = found.name
        bundles = found.bundles.map { name in
            let there = layout.endings.first { names.contains(name + $0) }
            return place + "/" + name + (there ?? layout.endings[0])
        }
        files = found.files.map { place + "/" + $0 }
    }

    /// What is wrong with the model's parts, by the name of the bundle or file; whole ones are absent.
    public func faults() throws -> [(name: String, fault: BundleFault)] {
        try bundles.compactMap { path in
            try Self.fault(path).map { (URL(fileURLWithPath: path).lastPathComponent, $0) }
        }
            + files.compactMap { path in
                guard case .file = try kind(of: path) else {
                    let name = URL(fileURLWithPath: path).lastPathComponent
                    return (name, BundleFault(.hollow, "`\(name)` is not there"))
                }
                return nil
            }
    }

    /// Throws `broken-bundle` for the first part that is not whole.
    public func requireWhole() throws {
        guard let (name, fault) = try faults().first else { return }
        let place = fault.member.isEmpty ? name : "\(name)/\(fault.member)"
        throw BridgeError(
            .brokenBundle, "`\(path)/\(place)` \(fault.message)",
            hint: "`cachedoctor scan` says more, `cachedoctor fix` repairs it")
    }

    /// What is wrong with the bundle at `path`; a package is only looked for.
    public static func fault(_ path: String) throws -> BundleFault? {
        if case .nothing = try kind(of: path) { return BundleFault(.hollow, "is not there") }
        if path.hasSuffix(".mlpackage") { return nil }
        do {
            _ = try inspectBundle(path)
            return nil
        } catch let fault as BundleFault {
            return fault
        }
    }

    /// The folder itself when it holds bundles, else the only one below it that does.
    private static func place(_ path: String, _ layout: Layout) throws -> String {
        let names = try listing(path)
        if names.contains(where: isBundle) { return path }
        let below = try names.filter { name in
            guard !name.hasPrefix("."), case .folder = try kind(of: path + "/" + name) else {
                return false
            }
            return try listing(path + "/" + name).contains(where: isBundle)
        }
        switch below.count {
        case 1: return path + "/" + below[0]
        case 0: throw BridgeError(.noModel, "`\(path)` holds no Core ML bundle")
        default:
            throw BridgeError(
                .severalModels, "`\(path)` holds \(below.count) models",
                hint: "name one: \(below.joined(separator: ", "))")
        }
    }

    private static func refuseOthers(_ path: String, _ names: [String], _ layout: Layout) throws {
        func most(_ layout: Layout) -> Int {
            layout.models.map { held($0, names) }.max() ?? 0
        }
        guard most(layout) == 0 else { return }
        if let other = Layout.every.first(where: { $0.engine != layout.engine && most($0) > 0 }) {
            throw BridgeError(
                .otherEngine, "`\(path)` holds a model of \(other.engine), not of \(layout.engine)")
        }
        throw BridgeError(.noModel, "`\(path)` holds no bundle of \(layout.engine)")
    }

    private static func choose(
        _ path: String, _ names: [String], _ layout: Layout, _ wanted: String?
    ) throws -> Layout.Model {
        if let wanted {
            guard let model = layout.models.first(where: { $0.name == wanted }) else {
                let known = layout.models.map(\.name).joined(separator: ", ")
                throw BridgeError(
                    .usage, "\(layout.engine) has no model `\(wanted)`", hint: "one of \(known)")
            }
            return model
        }
        // Versions before 0.13.4 call the folder as the repository, with `-coreml`.
        let folder = URL(fileURLWithPath: path).lastPathComponent
        let called = [folder, folder.hasSuffix("-coreml") ? String(folder.dropLast(7)) : folder]
        if let named = layout.models.first(where: { called.contains($0.name) }) { return named }
        func score(_ model: Layout.Model) -> Int {
            2 * held(model, names) - model.bundles.count
        }
        // The first of those that fit best: the newest.
        return layout.models.reduce(layout.models[0]) { score($1) > score($0) ? $1 : $0 }
    }

    private static func held(_ model: Layout.Model, _ names: [String]) -> Int {
        model.bundles.count { bundle in
            names.contains { $0 == bundle + ".mlmodelc" || $0 == bundle + ".mlpackage" }
        }
    }

    private static func isBundle(_ name: String) -> Bool {
        name.hasSuffix(".mlmodelc") || name.hasSuffix(".mlpackage")
    }
}

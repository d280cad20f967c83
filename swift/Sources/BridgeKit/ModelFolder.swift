import Foundation

/// Where a bundle runs: Core ML's compute units, by Core ML's names.
public enum Units: String, Sendable {
    case cpuOnly, cpuAndGPU, cpuAndNeuralEngine, all
}

/// One thing that a model needs, under any of its names.
public struct Part: Sendable {
    /// In the order in which an engine would open them; bundles without their ending.
    public let names: [String]
    /// The units for each of the names; none for anything but a bundle.
    public let units: [Units]
    /// Whether it is optional: read if it is there.
    public let isOptional: Bool

    init(_ names: [String], _ units: [Units], isOptional: Bool = false) {
        self.names = names
        self.units = units
        self.isOptional = isOptional
    }

    init(_ names: [String], _ units: Units, isOptional: Bool = false) {
        self.init(names, names.map { _ in units }, isOptional: isOptional)
    }

    init(_ names: [String], isOptional: Bool = false) {
        self.init(names, [], isOptional: isOptional)
    }

    var json: JSON {
        [
            "any": .array(names.map(JSON.string)), "optional": .bool(isOptional),
            "units": .array(units.map { .string($0.rawValue) }),
        ]
    }
}

/// Which bundles and files make up a model, for one engine. `Layouts.swift` has them all.
public struct Layout: Sendable {
    /// A set of files that one kind of model consists of.
    public struct Model: Sendable {
        /// The engine's name for it; empty if the engine has only one kind.
        public let name: String
        /// The folder that holds it, below the engine's own; can be two names deep.
        public let folder: String
        /// Whether the bridge transcribes with it; otherwise it is only checked.
        public let isTranscribed: Bool
        /// The language of a model that knows only one.
        public let language: String?
        public let bundles: [Part]
        /// Files beside the bundles.
        public let files: [Part]

        init(
            _ name: String, folder: String, isTranscribed: Bool, language: String?,
            bundles: [Part], files: [Part]
        ) {
            self.name = name
            self.folder = folder
            self.isTranscribed = isTranscribed
            self.language = language
            self.bundles = bundles
            self.files = files
        }
    }

    public let engine: String
    /// The version of the framework that this describes.
    public let version: String
    public let models: [Model]
    /// Endings of bundles that the engine opens, in order of preference.
    public let endings: [String]

    static let every = [whisperKit, fluidAudio]

    var json: JSON {
        .array(
            models.map { model in
                [
                    "name": .string(model.name),
                    "folder": .string(model.folder),
                    "transcribed": .bool(model.isTranscribed),
                    "language": model.language.map(JSON.string) ?? .null,
                    "bundles": .array(model.bundles.map(\.json)),
                    "files": .array(model.files.map(\.json)),
                ]
            })
    }
}

/// A bundle of a model, present or not.
public struct ModelBundle: Equatable, Sendable {
    /// The name in the engine's code, whichever alternative it is.
    public let role: String
    public let path: String
    public let units: Units

    /// The name of its folder.
    public var name: String {
        URL(fileURLWithPath: path).lastPathComponent
    }
}

/// A folder with a model of one engine; nothing in it has been opened yet.
public struct ModelFolder: Sendable {
    public let path: String
    /// Which of the engine's kinds of model it is.
    public let model: Layout.Model
    /// The bundles that the engine opens: for each part the first that is there, or would be.
    public let bundles: [ModelBundle]
    /// Bundles beside them that are there and can replace one of them.
    public let others: [ModelBundle]
    /// Paths of the files beside the bundles that it needs.
    public let files: [String]

    /// Finds the model at `path`, or in the one folder below it that holds one.
    ///
    /// `model` names its kind; by default the folder's name or content tells. Throws `missing`,
    /// `not-a-folder`, `no-model` if there is no bundle, `other-engine` and `several-models`.
    public init(path: String, layout: Layout, model: String? = nil) throws {
        let path = URL(fileURLWithPath: path).standardizedFileURL.path
        switch try kind(of: path) {
        case .folder: break
        case .nothing: throw BridgeError(.missing, "the model folder `\(path)` does not exist")
        case .file, .other:
            throw BridgeError(.notAFolder, "the model folder `\(path)` is a file")
        }
        let place = try Self.place(path, layout)
        try Self.refuseOthers(place, layout)
        let found = try Self.choose(place, layout, model)
        self.path = place
        self.model = found
        var bundles: [ModelBundle] = []
        var others: [ModelBundle] = []
        for part in found.bundles {
            let there = try Self.alternatives(part, place, layout.endings)
            if let first = there.first {
                bundles.append(first)
            } else if !part.isOptional {
                let path = place + "/" + part.names[0] + layout.endings[0]
                bundles.append(ModelBundle(role: part.names[0], path: path, units: part.units[0]))
            }
            others += there.dropFirst()
        }
        self.bundles = bundles
        // A bundle that replaces one part can be another part itself.
        self.others = others.filter { other in !bundles.contains { $0.path == other.path } }
        files = try found.files.compactMap { part in
            let paths = part.names.map { place + "/" + $0 }
            let there = try paths.first { try kind(of: $0) != .nothing(isLink: false) }
            return there ?? (part.isOptional ? nil : paths[0])
        }
    }

    /// What is wrong with the model's parts, by the name of the bundle or file; whole ones are absent.
    public func faults() throws -> [(name: String, fault: BundleFault)] {
        try bundles.compactMap { bundle in
            try Self.fault(bundle.path).map { (bundle.name, $0) }
        }
            + files.compactMap { path in
                guard case .file = try kind(of: path) else {
                    let name = URL(fileURLWithPath: path).lastPathComponent
                    return (name, BundleFault(.hollow, "is missing"))
                }
                return nil
            }
    }

    /// What an engine would find wrong in the files beside the bundles, by name; `nil` for a good one.
    public func problems() throws -> [(name: String, problem: BridgeError?)] {
        try files.map { path in
            let name = URL(fileURLWithPath: path).lastPathComponent
            guard case .file = try kind(of: path) else {
                return (name, BridgeError(.missing, "`\(path)` is missing"))
            }
            do {
                if model.isTranscribed, name.hasSuffix("vocab.json") {
                    _ = try Vocabulary.read(path)
                } else if name.hasSuffix(".json"), !isJSON(path) {
                    throw BridgeError(.brokenBundle, "`\(path)` is not JSON")
                }
                return (name, nil)
            } catch let error as BridgeError {
                return (name, error)
            }
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

    /// What is wrong with the bundle at `path`; for a package, only whether it is there.
    public static func fault(_ path: String) throws -> BundleFault? {
        if case .nothing = try kind(of: path) { return BundleFault(.hollow, "is missing") }
        if path.hasSuffix(".mlpackage") { return nil }
        do {
            _ = try inspectBundle(path)
            return nil
        } catch let fault as BundleFault {
            return fault
        }
    }

    /// The bundles at `place` that answer a part, in order.
    private static func alternatives(
        _ part: Part, _ place: String, _ endings: [String]
    ) throws -> [ModelBundle] {
        try zip(part.names, part.units).compactMap { name, units in
            let paths = endings.map { place + "/" + name + $0 }
            return try paths.first { try kind(of: $0) != .nothing(isLink: false) }
                .map { ModelBundle(role: part.names[0], path: $0, units: units) }
        }
    }

    /// The folder itself if it has a model's name or holds bundles, otherwise the only one below it
    /// that does.
    private static func place(_ path: String, _ layout: Layout) throws -> String {
        let names = try listing(path)
        if named(path, layout) != nil || names.contains(where: isBundle) { return path }
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

    /// The models whose folder name ends a path; versions before 0.13.4 add `-coreml` to the name.
    private static func named(_ path: String, _ layout: Layout) -> [Layout.Model]? {
        let called = path.hasSuffix("-coreml") ? [path, String(path.dropLast(7))] : [path]
        let found = layout.models.filter { model in
            !model.folder.isEmpty && called.contains { $0.hasSuffix("/" + model.folder) }
        }
        return found.isEmpty ? nil : found
    }

    /// Refuses a folder that holds nothing of this engine's, or that fits another engine better.
    private static func refuseOthers(_ path: String, _ layout: Layout) throws {
        if named(path, layout) != nil { return }
        let best = { (layout: Layout) in layout.models.map { fit($0, path) }.max() ?? .none }
        let ours = best(layout)
        let others = Layout.every.filter { $0.engine != layout.engine }
        if let other = others.first(where: { best($0).held > 0 && best($0) > ours }) {
            throw BridgeError(
                .otherEngine,
                "`\(path)` holds a model for \(other.engine), not for \(layout.engine)")
        }
        guard ours.held > 0 else {
            throw BridgeError(.noModel, "`\(path)` holds no bundle for \(layout.engine)")
        }
    }

    private static func choose(
        _ path: String, _ layout: Layout, _ wanted: String?
    ) throws -> Layout.Model {
        if let wanted {
            guard let model = layout.models.first(where: { $0.name == wanted }) else {
                let known = layout.models.map(\.name).joined(separator: ", ")
                throw BridgeError(
                    .usage, "\(layout.engine) has no model `\(wanted)`", hint: "one of \(known)")
            }
            return model
        }
        let candidates = named(path, layout) ?? layout.models
        // The first of the best matches: the newest.
        return candidates.reduce(candidates[0]) { fit($1, path) > fit($0, path) ? $1 : $0 }
    }

    /// How well a folder fits a kind of model: what is there counts for it, what is missing against it.
    private struct Fit: Comparable {
        static let none = Fit(held: 0, missed: 0)

        let held: Int
        let missed: Int

        static func < (one: Fit, other: Fit) -> Bool {
            one.held - one.missed < other.held - other.missed
        }
    }

    private static func fit(_ model: Layout.Model, _ path: String) -> Fit {
        let needed = model.bundles.filter { !$0.isOptional }
        let held = needed.count { part in
            part.names.contains { name in
                [".mlmodelc", ".mlpackage"].contains { access(path + "/" + name + $0, F_OK) == 0 }
            }
        }
        return Fit(held: held, missed: needed.count - held)
    }

    private static func isBundle(_ name: String) -> Bool {
        name.hasSuffix(".mlmodelc") || name.hasSuffix(".mlpackage")
    }
}

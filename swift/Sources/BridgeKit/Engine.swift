/// What an engine heard.
public struct Transcript: Sendable {
    public struct Segment: Sendable {
        public let start: Double
        public let end: Double
        public let text: String

        public init(start: Double, end: Double, text: String) {
            self.start = start
            self.end = end
            self.text = text
        }
    }

    public let text: String
    public let language: String?
    public let segments: [Segment]

    public init(text: String, language: String?, segments: [Segment]) {
        self.text = text
        self.language = language
        self.segments = segments
    }
}

/// Which model is wanted, and how it is to be used.
public struct ModelChoice: Equatable, Sendable {
    public let folder: String
    /// What the engine calls it, where the folder does not tell.
    public let model: String?
    /// Where WhisperKit's tokenizer is, if not where WhisperKit looks.
    public let tokenizerFolder: String?
    public let language: String?
    /// The only bundle to check.
    public let bundle: String?

    public init(
        folder: String, model: String? = nil, tokenizerFolder: String? = nil,
        language: String? = nil, bundle: String? = nil
    ) {
        self.folder = folder
        self.model = model
        self.tokenizerFolder = tokenizerFolder
        self.language = language
        self.bundle = bundle
    }
}

/// One framework, behind one face. A build that lacks the framework throws `wrong-platform`.
public protocol Engine {
    /// What the framework is, without loading anything.
    var about: EngineFacts { get }

    /// Reads what is ours to read of a model that was found whole; nothing is loaded yet.
    func prepare(_ folder: ModelFolder, _ choice: ModelChoice) throws

    /// Loads the model that was prepared, in place of the one before: what the engine alone does.
    func load() async throws

    /// Says what was spoken in a recording, by the model that was loaded.
    func transcribe(_ path: String) async throws -> Transcript

    /// What the engine would find wrong in what lies beside the bundles; `nil` for what is good.
    func problems(
        _ folder: ModelFolder, _ choice: ModelChoice
    ) throws -> [(name: String, problem: BridgeError?)]
}

extension Engine {
    public func problems(
        _ folder: ModelFolder, _ choice: ModelChoice
    ) throws -> [(name: String, problem: BridgeError?)] {
        try folder.problems()
    }
}

/// What is known of an engine before it is used.
public struct EngineFacts: Sendable {
    public let layout: Layout
    /// Whether the framework is in this build.
    public let isLinked: Bool
    /// Folders in which the framework looks by itself.
    public let folders: [String]

    public init(layout: Layout, isLinked: Bool, folders: [String]) {
        self.layout = layout
        self.isLinked = isLinked
        self.folders = folders
    }

    var json: JSON {
        [
            "name": .string(layout.engine),
            "version": .string(layout.version),
            "linked": .bool(isLinked),
            "models": layout.json,
            "why": isLinked ? .null : .string(BridgeError.needsMac.message),
        ]
    }
}

/// Core ML itself, without a framework on top.
public protocol BundleLoader: Sendable {
    /// Loads a bundle as its engine would, and lets it go; a package is compiled first.
    func load(_ bundle: ModelBundle) async throws

    /// Compiles the package at `path` to a bundle that did not exist at `output`.
    func compile(_ path: String, to output: String) async throws
}

extension BridgeError {
    /// The error of everything that only a Mac can do.
    public static let needsMac = BridgeError(.wrongPlatform, "needs macOS with Apple silicon")
}

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

/// Which model to use, and how.
public struct ModelChoice: Equatable, Sendable {
    public let folder: String
    /// The engine's name for it, if the folder does not tell.
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

/// One framework, behind one interface. A build without the framework throws `wrong-platform`.
public protocol Engine {
    /// What the framework is, without loading anything.
    var about: EngineFacts { get }

    /// Reads our own part of a model that was found whole; nothing is loaded yet.
    func prepare(_ folder: ModelFolder, _ choice: ModelChoice) throws

    /// Loads the prepared model in place of the previous one: the engine's own work alone.
    func load() async throws

    /// Transcribes a recording with the loaded model.
    func transcribe(_ path: String) async throws -> Transcript

    /// What the engine would find wrong in the files beside the bundles; `nil` for a good one.
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

/// What is known about an engine before it is used.
public struct EngineFacts: Sendable {
    public let layout: Layout
    /// Whether the framework is in this build.
    public let isLinked: Bool
    /// Folders where the framework itself looks.
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
    /// Loads a bundle as its engine would, and releases it; a package is compiled first.
    func load(_ bundle: ModelBundle) async throws

    /// Compiles the package at `path` to a new bundle at `output`.
    func compile(_ path: String, to output: String) async throws
}

extension BridgeError {
    /// The error for everything that only a Mac can do.
    public static let needsMac = BridgeError(.wrongPlatform, "needs macOS with Apple silicon")
}

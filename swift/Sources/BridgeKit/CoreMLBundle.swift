import Foundation

// The verdicts of `cachedoctor/formats/coreml.py`, on the same folders, in the same words; the cases in
// `Tests/coreml_cases.json` run against both. That module describes what a bundle looks like.

/// What is wrong with a bundle; the value is the slug of the rule that reports it.
public enum FaultKind: String, Sendable {
    case hollow = "hollow-bundle"
    case truncated
    case wrongMagic = "wrong-magic"
    case malformed = "malformed-header"
    case trailing = "trailing-bytes"
}

/// The first thing that is wrong in a bundle.
public struct BundleFault: Error, Equatable, Sendable {
    public let kind: FaultKind
    public let message: String
    /// Lengths in bytes, if the fault is about length.
    public let measured: UInt64?
    public let expected: UInt64?
    /// The file inside the bundle, or empty for the bundle itself.
    public let member: String

    public init(
        _ kind: FaultKind, _ message: String, measured: UInt64? = nil, expected: UInt64? = nil,
        member: String = ""
    ) {
        self.kind = kind
        self.message = message
        self.measured = measured
        self.expected = expected
        self.member = member
    }
}

/// The content of a whole bundle.
public struct BundleReading: Equatable, Sendable {
    public let kind: String
    public let bytes: UInt64
    public let files: Int
    public let blobs: Int
}

private let data = "coremldata.bin"
private let network = ["model.espresso.net", "model.espresso.shape", "model.espresso.weights"]
private let partials = [".partial", ".partial.etag", ".download", ".incomplete"]
private let mostFiles = 10_000
private let deepest = 8

/// Checks the parts of the bundle at `path`, and that every blob is inside its file.
///
/// Reads the whole program and 64 bytes per blob. Throws `BundleFault` for what is wrong with it and
/// `BridgeError` if it cannot be read.
public func inspectBundle(_ path: String) throws -> BundleReading {
    let contents = try Contents(path)
    guard try contents.has(programName) else {
        let isNetwork = try network.contains { try contents.has($0) }
        guard isNetwork else {
            try contents.require([data, programName, weightsName])
            preconditionFailure("the program is missing")
        }
        try contents.require([data] + network)
        for name in [data] + network { try sniff(path, name) }
        return contents.reading("neuralnetwork", blobs: 0)
    }
    let program = try Program(path)
    try contents.require([data] + program.names)
    try sniff(path, data)
    if let fault = program.fault { throw fault }
    let blobs = try program.names.reduce(0) { sum, name in
        try sum + checkWeights(path, name, program.offsets(in: name))
    }
    return contents.reading("mlprogram", blobs: blobs)
}

/// The files below a folder; unfinished downloads are counted separately.
private struct Contents {
    private let path: String
    private var files = 0
    private var bytes: UInt64 = 0
    private var unfinished = 0

    init(_ path: String) throws {
        self.path = path
        switch try kind(of: path) {
        case .folder: break
        case .file(let bytes):
            throw BundleFault(.hollow, "is a file of \(shown(bytes)), not a folder")
        case .other: throw BundleFault(.hollow, "is neither a file nor a folder")
        case .nothing: throw BridgeError(.missing, "`\(path)` does not exist")
        }
        try count(path, depth: 0)
    }

    func has(_ name: String) throws -> Bool {
        try lack(name) == nil
    }

    func require(_ names: [String]) throws {
        let lacking = try names.compactMap(lack)
        guard !lacking.isEmpty else { return }
        var held = "holds \(plural(files, "file")), \(shown(bytes))"
        if unfinished > 0 { held += ", and \(plural(unfinished, "unfinished download"))" }
        throw BundleFault(.hollow, "\(held); no \(lacking.joined(separator: ", "))")
    }

    func reading(_ kind: String, blobs: Int) -> BundleReading {
        BundleReading(kind: kind, bytes: bytes, files: files, blobs: blobs)
    }

    private func lack(_ name: String) throws -> String? {
        switch try kind(of: path + "/" + name) {
        case .file: nil
        case .nothing(isLink: true): "`\(name)` (a broken link)"
        case .nothing: "`\(name)`"
        case .folder, .other: "`\(name)` (not a file)"
        }
    }

    /// Linked folders are not entered.
    private mutating func count(_ folder: String, depth: Int) throws {
        for name in try listing(folder) {
            let below = folder + "/" + name
            var status = stat()
            guard lstat(below, &status) == 0 else { continue }
            if status.st_mode & S_IFMT == S_IFDIR {
                if depth < deepest { try count(below, depth: depth + 1) }
                continue
            }
            guard case .file(let size) = try kind(of: below) else { continue }
            if partials.contains(where: name.hasSuffix) {
                unfinished += 1
                continue
            }
            files += 1
            bytes += size
            if files > mostFiles {
                throw BundleFault(.malformed, "holds more than \(mostFiles) files")
            }
        }
    }
}

/// The names in a folder, sorted.
func listing(_ folder: String) throws -> [String] {
    do {
        return try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
    } catch {
        throw BridgeError(.unreadable, "`\(folder)` cannot be listed")
    }
}

private func sniff(_ path: String, _ name: String) throws {
    let file = try ByteFile(path + "/" + name)
    let head = try file.read(0, headBytes)
    if head.isEmpty { throw BundleFault(.truncated, "is empty", measured: 0, member: name) }
    if foreign(head) != nil {
        throw wrongMagic(head, "a part of a Core ML model", bytes: file.bytes, member: name)
    }
}

private func plural(_ count: Int, _ noun: String) -> String {
    count == 1 ? "\(count) \(noun)" : "\(count) \(noun)s"
}

func shown(_ count: UInt64) -> String {
    guard count >= 1024 else { return "\(count) B" }
    var (amount, unit) = (Double(count) / 1024, "KiB")
    for larger in ["MiB", "GiB"] where amount >= 1024 {
        (amount, unit) = (amount / 1024, larger)
    }
    // As Python rounds; `String(format:)` would bring all of ICU into the executables, 44 MB.
    return "\((amount * 10).rounded(.toNearestOrEven) / 10) \(unit)"
}

import Foundation
import Testing

@testable import BridgeKit

/// `Tests/coreml_cases.json`, which `tests/test_coreml_cases.py` reads too.
struct Table: Decodable {
    let bundles: [String: [String: [Piece]]]
    let cases: [Case]

    static let shared: Table = {
        let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("coreml_cases.json")
        do {
            return try JSONDecoder().decode(Table.self, from: Data(contentsOf: file))
        } catch {
            fatalError("\(file.path): \(error)")
        }
    }()
}

struct Piece: Decodable {
    let hex: String?
    let text: String?
    let times: Int?

    var bytes: [UInt8] {
        var one = Array((text ?? "").utf8)
        var digits = (hex ?? "")[...]
        while let byte = UInt8(digits.prefix(2), radix: 16) {
            one.append(byte)
            digits = digits.dropFirst(2)
        }
        return Array(repeatElement(one, count: times ?? 1).joined())
    }
}

struct Step: Decodable {
    let `do`: String
    let file: String
    let content: [Piece]?
    let bytes: Int?
    let at: Int?
    let old: String?
    let new: String?
    let to: String?
}

struct Verdict: Decodable, Equatable {
    var kind: String?
    var bytes: UInt64?
    var files: Int?
    var blobs: Int?
    var fault: String?
    var message: String?
    var measured: UInt64?
    var expected: UInt64?
    var member: String?
}

struct Case: Decodable, CustomTestStringConvertible {
    let name: String
    let bundle: String
    let steps: [Step]
    let verdict: Verdict

    var testDescription: String { name }

    func build(_ folder: URL) throws {
        for (name, pieces) in Table.shared.bundles[bundle] ?? [:] {
            try write(pieces.flatMap(\.bytes), folder.appendingPathComponent(name))
        }
        for step in steps {
            try apply(step, folder.appendingPathComponent(step.file))
        }
    }

    private func apply(_ step: Step, _ file: URL) throws {
        let new = (step.content ?? []).flatMap(\.bytes)
        let old = (try? Data(contentsOf: file)).map { [UInt8]($0) } ?? []
        let manager = FileManager.default
        switch step.do {
        case "write": try write(new, file)
        case "append": try write(old + new, file)
        case "cut": try write(Array(old.prefix(step.bytes ?? 0)), file)
        case "patch":
            let at = step.at ?? 0
            try write(old.prefix(at) + new + old.dropFirst(at + new.count), file)
        case "replace":
            let text = String(decoding: old, as: UTF8.self)
            let changed = text.components(separatedBy: step.old ?? "").joined(
                separator: step.new ?? "")
            try write(Array(changed.utf8), file)
        default:
            try? manager.removeItem(at: file)
            switch step.do {
            case "remove": break
            case "link":
                try manager.createSymbolicLink(
                    atPath: file.path, withDestinationPath: step.to ?? "")
            case "folder": try manager.createDirectory(at: file, withIntermediateDirectories: true)
            case "fifo": #expect(mkfifo(file.path, 0o600) == 0)
            default: Issue.record("no step \(step.do)")
            }
        }
    }
}

func write(_ bytes: [UInt8], _ file: URL) throws {
    try FileManager.default.createDirectory(
        at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
    try Data(bytes).write(to: file)
}

/// Runs with a folder that is gone afterwards.
func withFolder<Result>(_ body: (URL) throws -> Result) throws -> Result {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    return try body(folder)
}

func verdict(_ path: String) throws -> Verdict {
    do {
        let reading = try inspectBundle(path)
        return Verdict(
            kind: reading.kind, bytes: reading.bytes, files: reading.files, blobs: reading.blobs)
    } catch let fault as BundleFault {
        return Verdict(
            fault: fault.kind.rawValue, message: fault.message, measured: fault.measured,
            expected: fault.expected, member: fault.member)
    }
}

@Suite struct CoreMLTests {
    @Test(arguments: Table.shared.cases)
    func theVerdictIsTheOneInTheTable(_ one: Case) throws {
        try withFolder { folder in
            try one.build(folder)
            #expect(try verdict(folder.path) == one.verdict)
        }
    }

    @Test func aBundleThatIsAFileOrNothing() throws {
        try withFolder { folder in
            let file = folder.appendingPathComponent("m.mlmodelc")
            #expect(throws: BridgeError.self) { try inspectBundle(file.path) }
            try write([UInt8](repeating: 0, count: 5 << 20), file)
            #expect(try verdict(file.path).message == "is a file of 5.0 MiB, not a folder")
            try FileManager.default.removeItem(at: file)
            #expect(mkfifo(file.path, 0o600) == 0)
            #expect(try verdict(file.path).message == "is neither a file nor a folder")
        }
    }

    @Test func everyCutOfTheProgramAndTheWeightsIsFound() throws {
        let whole = try #require(Table.shared.cases.first { $0.name == "whole: program" })
        try withFolder { folder in
            try whole.build(folder)
            for name in ["model.mil", "weights/weight.bin"] {
                let file = folder.appendingPathComponent(name)
                let bytes = [UInt8](try Data(contentsOf: file))
                for count in bytes.indices {
                    try write(Array(bytes.prefix(count)), file)
                    let found = try verdict(folder.path)
                    #expect(found.fault == "truncated")
                    #expect(found.member == name)
                }
                try write(bytes, file)
            }
        }
    }
}

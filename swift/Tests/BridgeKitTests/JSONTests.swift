import Foundation
import Testing

@testable import BridgeKit

@Suite struct JSONTests {
    @Test func anAnswerIsOneLineThatReadsBack() throws {
        let value: JSON = [
            "text": "a\nb \u{2028} ü/", "none": nil, "list": [1, true, .number(0.5)],
            "deep": ["a": []],
        ]
        #expect(!value.line.contains(UInt8(ascii: "\n")))
        #expect(try JSON(parsing: value.line) == value)
    }

    @Test func timesAreFiniteOrNothing() {
        #expect(JSON.seconds(1.23456789) == .number(1.234568))
        #expect(JSON.seconds(.infinity) == .null)
        #expect(JSON.seconds(.nan) == .null)
    }

    @Test(arguments: ["", "{", "nope", "{} {}", "\u{0}"])
    func whatIsNoJSONIsRefused(_ text: String) {
        #expect(throws: (any Error).self) { try JSON(parsing: Data(text.utf8)) }
    }

    @Test func errorsOfFrameworksAreOneLine() {
        let error = NSError(domain: "d", code: 1, userInfo: [NSLocalizedDescriptionKey: "one\ntwo"])
        #expect(BridgeError.wrapping(error).code == .engineFailed)
        #expect(!BridgeError.wrapping(error).message.contains("\n"))
        #expect(BridgeError.wrapping(error).message.contains("one"))
        #expect(BridgeError.wrapping(BridgeError.needsMac) == .needsMac)
    }

    @Test func aFileIsOneValueOrIsNot() throws {
        try withFolder { folder in
            let file = folder.appendingPathComponent("a.json")
            for (text, value, object) in [
                ("{}", true, true), ("{\"a\": [1, {\"b\": null}]}", true, true),
                ("[1]", true, false), ("1", true, false), ("null", true, false),
                ("", false, false), ("{", false, false), ("{} {}", false, false),
                ("{\"a\": }", false, false), ("<html>", false, false), ("[1, 2", false, false),
            ] {
                try write(Array(text.utf8), file)
                #expect(isJSON(file.path) == value, "\(text)")
                #expect(isJSON(file.path, object: true) == object, "\(text)")
            }
            #expect(!isJSON("/nowhere.json"))
            let row = (0..<100_000).map { "\"token\($0)\": \($0)" }.joined(separator: ",")
            try write(Array("{\"model\": {\"vocab\": {\(row)}}}".utf8), file)
            let start = ContinuousClock.now
            #expect(isJSON(file.path, object: true))
            #expect(start.duration(to: .now) < .seconds(5))  // 2 MB
        }
    }
}

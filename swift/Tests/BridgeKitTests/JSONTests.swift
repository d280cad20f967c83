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
}

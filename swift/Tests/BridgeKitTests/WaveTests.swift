import Foundation
import Testing

@testable import BridgeKit

/// The bytes of a WAV file.
func wave(
    tag: UInt16 = 1, bits: UInt16 = 16, rate: UInt32 = 16_000, channels: UInt16 = 1,
    sound: Int = 32_000, before: [UInt8] = []
) -> [UInt8] {
    func bytes<T: FixedWidthInteger>(_ value: T) -> [UInt8] {
        withUnsafeBytes(of: value.littleEndian) { Array($0) }
    }
    let frame = channels * bits / 8
    var format = bytes(tag) + bytes(channels) + bytes(rate) + bytes(rate * UInt32(frame))
    format += bytes(frame) + bytes(bits)
    var body = Array("WAVE".utf8) + before + Array("fmt ".utf8) + bytes(UInt32(format.count))
    body += format + Array("data".utf8) + bytes(UInt32(sound)) + [UInt8](repeating: 1, count: sound)
    return Array("RIFF".utf8) + bytes(UInt32(body.count)) + body
}

/// The code of the error that reading such a file ends in.
private func refusal(_ bytes: [UInt8]) throws -> ErrorCode? {
    try withFolder { folder in
        let file = folder.appendingPathComponent("a.wav")
        try write(bytes, file)
        do {
            _ = try Wave(path: file.path)
            return nil
        } catch let error as BridgeError {
            return error.code
        }
    }
}

@Suite struct WaveTests {
    @Test func whatTheEnginesTake() throws {
        try withFolder { folder in
            let file = folder.appendingPathComponent("a.wav")
            try write(wave(), file)
            #expect(try Wave(path: file.path).seconds == 1)
            try write(wave(tag: 3, bits: 32, sound: 32_000), file)
            #expect(try Wave(path: file.path).seconds == 0.5)
            let list = Array("LIST".utf8) + [3, 0, 0, 0, 9, 9, 9, 0]  // an odd chunk is padded
            try write(wave(before: list), file)
            #expect(try Wave(path: file.path).frames == 16_000)
        }
    }

    @Test func theLongFormOfTheHeader() throws {
        // Sound editors write it also for one channel: the encoding is in the first bytes of a GUID.
        func long(_ encoding: UInt8) -> [UInt8] {
            var bytes = wave(tag: 0xFFFE, bits: encoding == 1 ? 16 : 32)
            let end = 12 + 8 + 16
            let more: [UInt8] = [22, 0, 16, 0, 4, 0, 0, 0, encoding, 0]
            let rest: [UInt8] = [0, 0, 0, 0, 16, 0, 128, 0, 0, 170, 0, 56, 155, 113]
            bytes.insert(contentsOf: more + rest, at: end)
            bytes[16] = 40
            return bytes
        }
        #expect(try refusal(long(1)) == nil)
        #expect(try refusal(long(3)) == nil)
        #expect(try refusal(long(6)) == .wrongAudio)
    }

    @Test(arguments: [
        wave(rate: 44_100), wave(channels: 2), wave(bits: 24), wave(tag: 7, bits: 8),
        wave(tag: 3, bits: 64), wave(sound: 0),
    ])
    func whatWouldHaveToBeConverted(_ bytes: [UInt8]) throws {
        #expect(try refusal(bytes) == .wrongAudio)
    }

    @Test func lengthsThatWereNotKnownWhenTheyWereWritten() throws {
        // As ffmpeg and sox leave them on a pipe: the sound goes to the end.
        for (riff, data) in [(UInt32.max, UInt32.max), (0x7FFF_FFFF, 0x7FFF_FFDB)] {
            var bytes = wave(sound: 64)
            bytes.replaceSubrange(4..<8, with: withUnsafeBytes(of: riff) { Array($0) })
            bytes.replaceSubrange(40..<44, with: withUnsafeBytes(of: data) { Array($0) })
            try withFolder { folder in
                let file = folder.appendingPathComponent("a.wav")
                try write(bytes, file)
                #expect(try Wave(path: file.path).frames == 32)
            }
            #expect(try refusal(Array(bytes.prefix(44))) == .wrongAudio)
            bytes.replaceSubrange(4..<8, with: [100, 0, 0, 0])  // one of both alone is a cut
            #expect(try refusal(bytes) == .notAWav)
        }
    }

    @Test func theFormForMoreThanFourGigabytes() throws {
        func long(_ sound: UInt64) -> [UInt8] {
            let sizes = [UInt64](arrayLiteral: 0, sound, 0).flatMap { value in
                withUnsafeBytes(of: value) { Array($0) }
            }
            let chunk = Array("ds64".utf8) + [28, 0, 0, 0] + sizes + [0, 0, 0, 0]
            var bytes = wave(sound: 64, before: chunk)
            bytes.replaceSubrange(0..<8, with: Array("RF64".utf8) + [255, 255, 255, 255])
            let size = bytes.count - 64 - 4
            bytes.replaceSubrange(size..<(size + 4), with: [255, 255, 255, 255])
            return bytes
        }
        #expect(try refusal(long(64)) == nil)
        #expect(try refusal(long(66)) == .notAWav)
        #expect(try refusal(long(.max)) == .notAWav)
        for count in 12..<long(64).count where count != long(64).count {
            let found = try refusal(Array(long(64).prefix(count)))
            #expect(found == .notAWav)
        }
    }

    @Test func whatIsNoRecording() throws {
        #expect(try refusal([]) == .notAWav)
        #expect(try refusal(Array("<!doctype html>".utf8)) == .notAWav)
        #expect(try refusal(Array("ID3".utf8) + [UInt8](repeating: 0, count: 500)) == .notAWav)
        #expect(throws: BridgeError.self) { try Wave(path: "/nowhere/a.wav") }
        #expect(throws: BridgeError.self) { try Wave(path: "/tmp") }
    }

    @Test func everyCutIsFound() throws {
        let whole = wave(sound: 64)
        for count in whole.indices {
            #expect(try refusal(Array(whole.prefix(count))) == .notAWav)
        }
        #expect(try refusal(whole) == nil)
    }

    @Test func anyBytesAreRefusedOrRead() throws {
        var random = SystemRandomNumberGenerator()
        let whole = wave(sound: 64)
        for _ in 0..<2_000 {
            var bytes = whole
            for _ in 0..<4 {
                bytes[Int.random(in: 0..<bytes.count, using: &random)] = .random(
                    in: 0...255, using: &random)
            }
            let found = try refusal(bytes)
            #expect([nil, .notAWav, .wrongAudio].contains(found))
        }
    }
}

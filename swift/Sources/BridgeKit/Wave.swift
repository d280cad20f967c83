import Foundation

/// A recording in the form that the engines accept: 16 kHz, mono, 16-bit or float.
public struct Wave: Equatable, Sendable {
    public static let rate: UInt32 = 16_000

    public let path: String
    /// Whether the samples are 32-bit floats; otherwise they are 16-bit integers.
    public let isFloat: Bool
    public let frames: UInt64

    /// The length in seconds.
    public var seconds: Double {
        Double(frames) / Double(Self.rate)
    }

    /// Reads the header of the file at `path`.
    ///
    /// Throws `not-a-wav` for anything but a RIFF WAVE file, and for a truncated one; `wrong-audio` for
    /// another encoding, rate or channel count, and for a file without sound.
    /// Source: Microsoft, Multiple Channel Audio Data and WAVE Files; EBU Tech 3306 for RF64. A program
    /// that writes to a pipe cannot go back to fill in sizes, and leaves the largest: ffmpeg
    /// `libavformat/wavenc.c`, sox `src/wav.c`. The sound then extends to the end of the file.
    public init(path: String) throws {
        switch try kind(of: path) {
        case .file: break
        case .nothing: throw BridgeError(.missing, "`\(path)` does not exist")
        case .folder, .other: throw BridgeError(.notAWav, "`\(path)` is not a file")
        }
        self.path = path
        let file = try ByteFile(path)
        let head = try file.read(0, 12)
        guard head.count == 12,
            head.begins(with: "RIFF") || head.begins(with: "RF64"), head[8...].begins(with: "WAVE")
        else {
            throw BridgeError(.notAWav, "`\(path)` is not a WAV file: no RIFF header")
        }
        let isEndless = littleEndian(head, 4, as: UInt32.self) >= Self.endless
        var format: [UInt8]?
        var longSize: UInt64?
        var at: UInt64 = 12
        while true {
            let chunk = try file.read(at, 8)
            guard chunk.count == 8 else {
                throw BridgeError(.notAWav, "`\(path)` is not a complete WAV file: it has no audio")
            }
            var size = UInt64(littleEndian(chunk, 4, as: UInt32.self))
            if chunk.begins(with: "ds64") {
                let sizes = try file.read(at + 8, 16)
                if sizes.count == 16 { longSize = littleEndian(sizes, 8) }
            }
            if chunk.begins(with: "fmt ") { format = try file.read(at + 8, Int(min(size, 40))) }
            if chunk.begins(with: "data") {
                guard let format else {
                    throw BridgeError(
                        .notAWav, "`\(path)` is not a WAV file: audio before its format")
                }
                isFloat = try Self.check(format, path)
                let have = file.bytes - at - 8
                if size == UInt32.max, let longSize { size = longSize }
                if size > have, isEndless, longSize == nil, size >= Self.endless { size = have }
                guard size <= have else {
                    let message = "`\(path)` is truncated: \(have) bytes of audio, expected \(size)"
                    throw BridgeError(.notAWav, message)
                }
                frames = size / (isFloat ? 4 : 2)
                if frames == 0 { throw BridgeError(.wrongAudio, "`\(path)` holds no audio") }
                return
            }
            at += 8 + size + size % 2
        }
    }

    /// From here on a size stands for unknown: sox leaves 2 GiB minus the header.
    private static let endless: UInt32 = 0x7FFF_F000

    /// Returns whether a supported format has floats; throws for any other.
    private static func check(_ format: [UInt8], _ path: String) throws -> Bool {
        guard format.count >= 16 else {
            throw BridgeError(.notAWav, "`\(path)` is not a WAV file: its format is truncated")
        }
        var tag: UInt16 = littleEndian(format, 0)
        let channels: UInt16 = littleEndian(format, 2)
        let rate: UInt32 = littleEndian(format, 4)
        let bits: UInt16 = littleEndian(format, 14)
        if tag == 0xFFFE, format.count >= 26 { tag = littleEndian(format, 24) }  // extensible
        guard (tag == 1 && bits == 16) || (tag == 3 && bits == 32) else {
            let message =
                "`\(path)` has encoding \(tag) of \(bits) bits, expected 16-bit or 32-bit float"
            throw BridgeError(.wrongAudio, message, hint: convert)
        }
        guard rate == Self.rate, channels == 1 else {
            let message =
                "`\(path)` has \(rate) Hz and \(channels) channels, expected 16000 Hz and 1"
            throw BridgeError(.wrongAudio, message, hint: convert)
        }
        return tag == 3
    }

    private static let convert = "`ffmpeg -i IN -ar 16000 -ac 1 -c:a pcm_s16le OUT.wav` converts it"
}

import Testing

@testable import BridgeKit

private func usage(_ words: String...) -> String {
    do {
        _ = try Arguments(words)
        return ""
    } catch {
        return BridgeError.wrapping(error).message
    }
}

@Suite struct ArgumentsTests {
    @Test func aRecordingAloneIsTranscribed() throws {
        let read = try Arguments(["a.wav", "--model-dir", "m", "--format", "text", "--model", "v2"])
        #expect(read.command == .transcribe)
        #expect(read.operands == ["a.wav"])
        #expect(read.choice.folder == "m")
        #expect(read.format == .text)
        #expect(read.choice.model == "v2")
        #expect(read.choice.language == nil)
        #expect(try Arguments(["transcribe", "info", "--model-dir", "m"]).operands == ["info"])
        #expect(try Arguments(["--help"]).command == .help)
    }

    @Test func pagesAndWordsThatLookLikeOptions() throws {
        for words in [["-h"], ["a.wav", "-h"], ["help"]] {
            #expect(try Arguments(words).command == .help)
        }
        for words in [["--version"], ["version"]] {
            #expect(try Arguments(words).command == .version)
        }
        let odd = try Arguments(["--model-dir", "m", "--", "--help"])
        #expect(odd.operands == ["--help"])
        #expect(odd.command == .transcribe)
        #expect(usage("a.wav", "-x") == "`transcribe` has no option `-x`")
        #expect(try Arguments(["check", "--model-dir", "m", "--bundle", "b"]).choice.bundle == "b")
    }

    @Test func whatIsWrongIsNamed() {
        #expect(usage() == "`transcribe` takes AUDIO.wav, and no path was given")
        #expect(usage("a.wav") == "`transcribe` needs `--model-dir DIR`")
        #expect(usage("a.wav", "--model-dir") == "`--model-dir` needs a value")
        #expect(usage("a.wav", "--model-dir", "") == "`--model-dir` needs a value")
        #expect(usage("a", "b", "--model-dir", "m").hasSuffix("and 2 were given"))
        #expect(
            usage("a", "--model-dir", "m", "--format", "xml") == "no format `xml`; `json` or `text`"
        )
        #expect(usage("info", "--model-dir", "m") == "`info` has no option `--model-dir`")
        #expect(usage("check") == "`check` needs `--model-dir DIR`")
        #expect(usage("compile", "a").contains("PACKAGE.mlpackage and OUT.mlmodelc"))
    }
}

/// The parsed command line.
public struct Arguments: Equatable, Sendable {
    public enum Command: String, Sendable {
        case transcribe, info, check, compile, serve, help, version
    }

    public enum Format: String, Sendable {
        case json, text
    }

    public let command: Command
    /// What follows the command: a recording, or a package and the path of its bundle.
    public private(set) var operands: [String] = []
    public private(set) var format = Format.json
    private var options: [String: String] = [:]

    private static let optionsTaken: [Command: Set<String>] = [
        .transcribe: ["--model-dir", "--tokenizer-dir", "--model", "--language", "--format"],
        .check: ["--model-dir", "--model", "--tokenizer-dir", "--bundle"],
    ]
    private static let operandsTaken: [Command: [String]] = [
        .transcribe: ["AUDIO.wav"], .compile: ["PACKAGE.mlpackage", "OUT.mlmodelc"],
    ]
    private static let needFolder: Set<Command> = [.transcribe, .check]

    /// Parses the words after the program's name; anything but a command begins a transcription.
    public init(_ words: [String]) throws {
        var words = words[...]
        if let first = words.first, let named = Command(rawValue: first) {
            command = named
            words = words.dropFirst()
        } else if let page = Self.page(words) {
            command = page
            return
        } else {
            command = .transcribe
        }
        while let word = words.popFirst() {
            if word == "--" {
                operands += words
                break
            }
            guard word.hasPrefix("-"), word != "-" else {
                operands.append(word)
                continue
            }
            guard Self.optionsTaken[command, default: []].contains(word) else {
                throw Self.usage("`\(command.rawValue)` has no option `\(word)`")
            }
            guard let value = words.popFirst(), !value.isEmpty else {
                throw Self.usage("`\(word)` needs a value")
            }
            options[word] = value
        }
        let taken = Self.operandsTaken[command, default: []]
        guard operands.count == taken.count else {
            let wanted = taken.isEmpty ? "no path" : taken.joined(separator: " and ")
            let given = ["no path was", "one was"]
            let count = operands.count < 2 ? given[operands.count] : "\(operands.count) were"
            throw Self.usage("`\(command.rawValue)` takes \(wanted), and \(count) given")
        }
        if let name = options["--format"] {
            guard let known = Format(rawValue: name) else {
                throw Self.usage("no format `\(name)`; `json` or `text`")
            }
            format = known
        }
        if Self.needFolder.contains(command), options["--model-dir"] == nil {
            throw Self.usage("`\(command.rawValue)` needs `--model-dir DIR`")
        }
    }

    public var choice: ModelChoice {
        ModelChoice(
            folder: options["--model-dir", default: ""], model: options["--model"],
            tokenizerFolder: options["--tokenizer-dir"], language: options["--language"],
            bundle: options["--bundle"])
    }

    /// The page requested before any `--`.
    private static func page(_ words: ArraySlice<String>) -> Command? {
        let asked = words.prefix { $0 != "--" }
        if asked.contains("--help") || asked.contains("-h") { return .help }
        return asked.contains("--version") ? .version : nil
    }

    private static func usage(_ message: String) -> BridgeError {
        BridgeError(.usage, message, hint: "`--help` lists the commands and options")
    }

    /// The page that `--help` prints.
    static let help = """
        AUDIO.wav --model-dir DIR [--format json|text]   transcribe a recording
        info                                             the framework, its folders, this machine
        check --model-dir DIR [--bundle NAME]            load each bundle, or one, through Core ML
        compile PACKAGE.mlpackage OUT.mlmodelc           compile a package
        serve                                            answer JSON lines, keeping the model loaded
        --help, -h, --version                            this page, the versions

        --model NAME          the kind of model, if its folder does not tell (`info` lists them)
        --tokenizer-dir DIR   where WhisperKit's tokenizer.json is, or a hub folder that holds it
        --language CODE       the language spoken; by default detected, if the engine can

        Recordings are WAV, 16 kHz, one channel. An answer is one line of JSON. Nothing is downloaded,
        moved or deleted; with CACHEDOCTOR_BRIDGE_SANDBOX=off macOS does not enforce that. Exit codes:
        0 done, 1 a check failed, 2 usage, 3 a named file is missing or not whole, 4 the engine failed,
        5 not on this machine.
        """
}

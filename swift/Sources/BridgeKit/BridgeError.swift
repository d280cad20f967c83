import Foundation

/// The protocol of both executables; raise it for a change that an old reader would misread.
public let protocolVersion = 1

/// The version of the bridges, the same as the Python package's.
public let bridgeVersion = "0.2.0"

/// How an executable ends.
public enum ExitCode: Int32, Sendable {
    case done = 0
    /// `check` found a bundle that this machine cannot run.
    case failedCheck = 1
    case usage = 2
    /// A named file cannot be read, or is not what the caller says it is.
    case cannotLook = 3
    /// The engine was asked and failed.
    case engineFailed = 4
    /// The engine is not in this build.
    case wrongPlatform = 5
}

/// What went wrong, one word per kind; readers tell errors apart by it.
public enum ErrorCode: String, CaseIterable, Sendable {
    case usage
    case unknownRequest = "unknown-request"
    case malformedRequest = "malformed-request"
    case lineTooLong = "line-too-long"
    case noInput = "no-input"
    case missing
    case unreadable
    case notAFolder = "not-a-folder"
    case notAWav = "not-a-wav"
    case wrongAudio = "wrong-audio"
    case noModel = "no-model"
    case notLoaded = "not-loaded"
    case otherEngine = "other-engine"
    case severalModels = "several-models"
    case brokenBundle = "broken-bundle"
    case missingTokenizer = "missing-tokenizer"
    case alreadyThere = "already-there"
    case checkOnly = "check-only"
    case wrongPlatform = "wrong-platform"
    case engineFailed = "engine-failed"

    /// The exit code of a command that ends with this error.
    public var exitCode: ExitCode {
        switch self {
        case .usage, .unknownRequest, .malformedRequest, .lineTooLong, .noInput, .notLoaded: .usage
        case .engineFailed: .engineFailed
        case .wrongPlatform: .wrongPlatform
        default: .cannotLook
        }
    }
}

/// An error that is reported to the caller as JSON.
public struct BridgeError: Error, Equatable, Sendable {
    public let code: ErrorCode
    /// One sentence that names the thing, without a full stop.
    public let message: String
    /// What to do about it; may be empty.
    public let hint: String

    public init(_ code: ErrorCode, _ message: String, hint: String = "") {
        self.code = code
        self.message = message
        self.hint = hint
    }

    /// The error as it appears in an answer.
    public var json: JSON {
        ["code": .string(code.rawValue), "message": .string(message), "hint": .string(hint)]
    }

    /// Any error as one of ours: what a framework throws is the engine's failure.
    public static func wrapping(_ error: any Error) -> BridgeError {
        if let known = error as? BridgeError { return known }
        if let fault = error as? BundleFault { return BridgeError(.brokenBundle, fault.message) }
        return BridgeError(.engineFailed, oneLine(error))
    }

    /// An error's own description, on one line.
    public static func oneLine(_ error: any Error) -> String {
        let said = (error as? any LocalizedError)?.errorDescription ?? String(describing: error)
        return said.split(whereSeparator: \.isNewline).joined(separator: " ")
    }
}

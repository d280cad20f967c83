import Foundation

/// A JSON value, for answers and requests.
public enum JSON: Equatable, Sendable {
    case null
    case bool(Bool)
    case integer(Int)
    case number(Double)
    case string(String)
    case array([JSON])
    case object([String: JSON])

    /// Reads one value from text; throws unless the text is JSON and nothing else.
    public init(parsing text: Data) throws {
        self = try JSONDecoder().decode(JSON.self, from: text)
    }

    /// The value as text on one line, keys sorted, without the newline.
    public var line: Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        do {
            return try encoder.encode(self)
        } catch {
            preconditionFailure("every value can be written: numbers are finite")
        }
    }

    /// A time in seconds to the microsecond; `null` if an engine gave no number.
    public static func seconds(_ value: Double) -> JSON {
        value.isFinite ? .number((value * 1e6).rounded() / 1e6) : .null
    }

    /// The string, or `nil` for another kind of value.
    public var string: String? {
        if case .string(let value) = self { value } else { nil }
    }
}

extension JSON: Codable {
    public init(from decoder: any Decoder) throws {
        let value = try decoder.singleValueContainer()
        if value.decodeNil() {
            self = .null
        } else if let found = try? value.decode(Bool.self) {
            self = .bool(found)
        } else if let found = try? value.decode(Int.self) {
            self = .integer(found)
        } else if let found = try? value.decode(Double.self) {
            self = .number(found)
        } else if let found = try? value.decode(String.self) {
            self = .string(found)
        } else if let found = try? value.decode([JSON].self) {
            self = .array(found)
        } else {
            self = .object(try value.decode([String: JSON].self))
        }
    }

    public func encode(to encoder: any Encoder) throws {
        var value = encoder.singleValueContainer()
        switch self {
        case .null: try value.encodeNil()
        case .bool(let found): try value.encode(found)
        case .integer(let found): try value.encode(found)
        case .number(let found): try value.encode(found)
        case .string(let found): try value.encode(found)
        case .array(let found): try value.encode(found)
        case .object(let found): try value.encode(found)
        }
    }
}

extension JSON: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral,
    ExpressibleByBooleanLiteral,
    ExpressibleByNilLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
    public init(stringLiteral value: String) { self = .string(value) }
    public init(integerLiteral value: Int) { self = .integer(value) }
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    public init(nilLiteral: ()) { self = .null }
    public init(arrayLiteral elements: JSON...) { self = .array(elements) }
    public init(dictionaryLiteral elements: (String, JSON)...) {
        self = .object(Dictionary(uniqueKeysWithValues: elements))
    }
}

/// Returns whether the file at `path` is one JSON value and nothing else, or an object on request.
///
/// The decoder reads all of it and builds nothing. (`JSONSerialization` would do, too, but bring
/// 40 MB of a Foundation that nothing else here needs.)
func isJSON(_ path: String, object: Bool = false) -> Bool {
    guard let text = FileManager.default.contents(atPath: path) else { return false }
    let decoder = JSONDecoder()
    return object
        ? (try? decoder.decode(AnyObjectValue.self, from: text)) != nil
        : (try? decoder.decode(AnyValue.self, from: text)) != nil
}

private struct AnyValue: Decodable {
    init(from decoder: any Decoder) throws {
        _ = try decoder.singleValueContainer()
    }
}

private struct AnyObjectValue: Decodable {
    private struct Key: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }

        init?(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }

    init(from decoder: any Decoder) throws {
        _ = try decoder.container(keyedBy: Key.self)
    }
}

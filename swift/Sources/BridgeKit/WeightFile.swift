private let alignment: UInt64 = 64
private let sentinel: UInt32 = 0xDEAD_BEEF
private let blobVersion: UInt32 = 2
private let otherVersions: UInt32 = 16

/// Checks the weights in file `name`, with blobs at `offsets`; returns how many it holds.
func checkWeights(_ path: String, _ name: String, _ offsets: [UInt64]) throws -> Int {
    let file = try ByteFile(path + "/" + name)
    let count = try blobCount(file, name)
    var walk = Walk(file)
    try walk.follow(count)
    try walk.jump(offsets)
    try walk.check(name)
    return count
}

private func blobCount(_ file: ByteFile, _ name: String) throws -> Int {
    let head = try file.read(0, headBytes)
    let kind = "a Core ML weight file"
    if head.isEmpty { throw BundleFault(.truncated, "is empty", measured: 0, member: name) }
    if foreign(head) != nil { throw wrongMagic(head, kind, bytes: file.bytes, member: name) }
    if head.count < alignment {
        throw BundleFault(
            .truncated, "ends inside its header", measured: file.bytes, member: name)
    }
    let count: UInt32 = littleEndian(head, 0)
    let version: UInt32 = littleEndian(head, 4)
    if version > otherVersions || head.allSatisfy({ $0 == 0 }) {
        throw wrongMagic(head, kind, bytes: file.bytes, member: name)
    }
    if version != blobVersion {
        let message = "has version \(version), but Core ML reads \(blobVersion)"
        throw BundleFault(.malformed, message, member: name)
    }
    if count > mostBlobs {
        let message = "claims \(count) blobs, more than \(mostBlobs)"
        throw BundleFault(.malformed, message, member: name)
    }
    return Int(count)
}

/// The content of the blobs' records in a weight file, gathered before it is judged.
private struct Walk {
    private let file: ByteFile
    private var end = alignment  // of the last known data
    private var cut = false  // a record is beyond the end of the file
    private var all = false  // every record was seen
    private var wrong: UInt64?  // where a record should be but is not

    init(_ file: ByteFile) {
        self.file = file
    }

    /// Walks from record to record, as long as each follows the last as coremltools writes it.
    mutating func follow(_ count: Int) throws {
        var at = alignment
        for _ in 0..<count {
            guard let end = try record(at), end >= at + alignment else { return }
            at = sum(end, (alignment - end % alignment) % alignment)
        }
        all = true
    }

    /// Reads the records that the program names.
    mutating func jump(_ offsets: [UInt64]) throws {
        for at in offsets where try record(at) == nil && !cut && wrong == nil {
            wrong = at
        }
    }

    func check(_ name: String) throws {
        if cut || end > file.bytes {
            throw BundleFault(
                .truncated, "ends before its blobs do", measured: file.bytes,
                expected: cut ? nil : end, member: name)
        }
        if let wrong {
            let message = "has no blob at byte \(wrong), where the program expects one"
            throw BundleFault(.malformed, message, member: name)
        }
        if all && file.bytes > end + 2 * alignment {
            throw BundleFault(
                .trailing, "goes on after its last blob", measured: file.bytes, expected: end,
                member: name)
        }
    }

    /// Returns where the data of the record at `at` ends.
    private mutating func record(_ at: UInt64) throws -> UInt64? {
        let record = try file.read(at, Int(alignment))
        if record.count < alignment {
            cut = true
            return nil
        }
        guard littleEndian(record, 0, as: UInt32.self) == sentinel else { return nil }
        let data = sum(littleEndian(record, 8), littleEndian(record, 16))
        end = max(end, data)
        return data
    }
}

/// The sum, or the largest number if the sum would overflow.
private func sum(_ one: UInt64, _ other: UInt64) -> UInt64 {
    let (value, overflow) = one.addingReportingOverflow(other)
    return overflow ? .max : value
}

import Foundation

/// What is at a path.
enum Kind: Equatable {
    case file(bytes: UInt64)
    case folder
    case other
    case nothing(isLink: Bool)
}

/// Looks at `path`, following links; throws if looking is forbidden or fails.
func kind(of path: String) throws -> Kind {
    var status = stat()
    if stat(path, &status) == 0 {
        switch status.st_mode & S_IFMT {
        case S_IFREG: return .file(bytes: UInt64(status.st_size))
        case S_IFDIR: return .folder
        default: return .other
        }
    }
    guard [ENOENT, ENOTDIR, ELOOP, ENAMETOOLONG].contains(errno) else {
        throw unreadable(path)
    }
    return .nothing(isLink: lstat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFLNK)
}

/// The error that `path` cannot be read, with the system's last reason.
func unreadable(_ path: String) -> BridgeError {
    let reason = String(cString: strerror(errno))
    return BridgeError(.unreadable, "`\(path)` cannot be read: \(reason)")
}

/// A file read in pieces by position, never beyond the length it had when opened.
final class ByteFile {
    let bytes: UInt64
    private let path: String
    private let descriptor: Int32

    init(_ path: String) throws {
        self.path = path
        descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw unreadable(path) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw unreadable(path) }
        bytes = UInt64(status.st_size)
    }

    deinit {
        close(descriptor)
    }

    /// The `count` bytes at `offset`, fewer only at the end of the file.
    func read(_ offset: UInt64, _ count: Int) throws -> [UInt8] {
        guard offset < bytes else { return [] }
        let wanted = Int(min(UInt64(count), bytes - offset))
        var held = [UInt8](repeating: 0, count: wanted)
        var have = 0
        while have < wanted {
            let got = held.withUnsafeMutableBytes { buffer in
                pread(
                    descriptor, buffer.baseAddress! + have, wanted - have,
                    off_t(offset) + off_t(have))
            }
            guard got >= 0 else { throw unreadable(path) }
            guard got > 0 else { break }
            have += got
        }
        return Array(held.prefix(have))
    }
}

/// The little-endian integer at `offset`.
func littleEndian<T: FixedWidthInteger>(_ bytes: [UInt8], _ offset: Int, as: T.Type = T.self) -> T {
    (0..<MemoryLayout<T>.size).reduce(0) {
        $0 | T(truncatingIfNeeded: bytes[offset + $1]) << T(8 * $1)
    }
}

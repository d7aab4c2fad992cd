// `--state FILE`: the table of a gateway that stops, for the one that starts after it. Written whole beside
// the old one and put in its place, so that there is a good one at any moment.

#if os(Linux)
  import Conntrack
  import Firewall
  import Glibc
  import Wire

  /// Why a state file was not used.
  public struct StateFileError: Error, CustomStringConvertible, Sendable {
    public let path: String
    public let what: String
    public var description: String { "\(path): \(what)" }
  }

  /// The file: a line that names the format, a CRC32c of the rest, whether it is the last of its gateway,
  /// the interfaces' names, the connections.
  public enum StateFile {
    private static let magic = Array("weir state 3\n".utf8)
    /// Records looked at between two bursts.
    private static let slice = 2048

    // MARK: Writing

    /// Copies the worker's table in slices, between which packets pass.
    public static func contents(of worker: Worker) async throws(WorkerStopped) -> [UInt8] {
      var body = try await worker.perform { header(of: $0, isLast: false) }
      var next: Int? = 0
      while let first = next {
        let part = try await worker.perform { firewall -> (bytes: [UInt8], next: Int?) in
          var bytes: [UInt8] = []
          let next = firewall.tracker.appendState(from: first, limit: slice, to: &bytes)
          return (bytes, next)
        }
        body += part.bytes
        next = part.next
      }
      return sealed(body)
    }

    /// Ends the worker, and copies its table as the last packet left it.
    public static func lastContents(of worker: Worker) async throws(WorkerStopped) -> [UInt8] {
      try await worker.stop { firewall in
        var body = header(of: firewall, isLast: true)
        _ = firewall.tracker.appendState(from: 0, limit: .max, to: &body)
        return sealed(body)
      }
    }

    private static func sealed(_ body: [UInt8]) -> [UInt8] {
      let sum = CRC32c.checksum(body.rawSpan, from: 0, to: body.count)
      return magic + (0..<4).map { UInt8(truncatingIfNeeded: sum >> (24 - 8 * UInt32($0))) } + body
    }

    private static func header(of firewall: borrowing Firewall, isLast: Bool) -> [UInt8] {
      let names = firewall.interfaces.names
      var bytes = [isLast ? 1 : 0, UInt8(names.count >> 8 & 0xff), UInt8(names.count & 0xff)]
      for name in names {
        let text = Array(name.utf8.prefix(255))
        bytes.append(UInt8(text.count))
        bytes += text
      }
      return bytes
    }

    /// Puts `bytes` in the place of the file. At any failure the old one stays.
    public static func write(_ bytes: [UInt8], to path: String) throws(SystemError) {
      let fresh = path + ".new"
      do throws(SystemError) {
        // The path is passed as a C string for the time of the call.
        let file = try Descriptor(
          unsafe open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600), fresh)
        var done = 0
        while done < bytes.count {
          // From the array's own storage, within its bounds, and kept only for the call.
          let written = unsafe bytes.withUnsafeBytes { buffer in
            unsafe Glibc.write(file.number, buffer.baseAddress! + done, bytes.count - done)
          }
          if written < 0 && errno == EINTR { continue }
          guard written > 0 else { throw SystemError(fresh) }
          done += written
        }
        // Both paths are passed as C strings for the time of the call.
        guard unsafe rename(fresh, path) == 0 else { throw SystemError(path) }
      } catch {
        // As above. Half a file is of no use.
        _ = unsafe unlink(fresh)
        throw error
      }
    }

    // MARK: Reading

    /// Puts the file's connections into the table.
    /// - Returns: how many; nil where there is no such file.
    public static func restore(
      _ path: String, into firewall: inout Firewall
    ) throws(StateFileError) -> Int? {
      func refuse(_ what: String) -> StateFileError { StateFileError(path: path, what: what) }
      // The path is passed as a C string for the time of the call.
      let number = unsafe open(path, O_RDONLY | O_CLOEXEC)
      if number < 0 && errno == ENOENT { return nil }
      let bytes: [UInt8]
      do {
        bytes = try readAll(try Descriptor(number, path))
      } catch {
        throw refuse("cannot be read: \(error)")
      }
      let start = magic.count + 4
      guard bytes.count >= start + 3, bytes.starts(with: magic) else {
        throw refuse("is no state file of this version")
      }
      let span = bytes.rawSpan
      let sum = CRC32c.checksum(span, from: start, to: bytes.count)
      guard span.uint32(at: magic.count) == sum else { throw refuse("is damaged") }
      var names: [String] = []
      var at = start + 3
      for _ in 0..<Int(span.uint16(at: start + 1)) {
        guard at < bytes.count, at + 1 + Int(bytes[at]) <= bytes.count else {
          throw refuse("is damaged")
        }
        let end = at + 1 + Int(bytes[at])
        names.append(String(decoding: bytes[(at + 1)..<end], as: UTF8.self))
        at = end
      }
      let known = firewall.interfaces
      let count = firewall.tracker.restoreState(
        span.slice(at..<bytes.count), isLast: bytes[start] == 1
      ) { old in
        guard Int(old) < names.count else { return nil }
        return known.find(names[Int(old)]).map { UInt16(truncatingIfNeeded: $0.rawValue) }
      }
      guard let count else { throw refuse("is damaged") }
      return count
    }

    private static func readAll(_ file: Descriptor) throws(SystemError) -> [UInt8] {
      var bytes: [UInt8] = []
      var part = [UInt8](repeating: 0, count: 1 << 16)
      while true {
        // The kernel writes at most `count` bytes into the array.
        let got = unsafe part.withUnsafeMutableBytes {
          unsafe read(file.number, $0.baseAddress, $0.count)
        }
        if got < 0 && errno == EINTR { continue }
        guard got >= 0 else { throw SystemError("read") }
        if got == 0 { return bytes }
        bytes += part[..<got]
      }
    }
  }
#endif

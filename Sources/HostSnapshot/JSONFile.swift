// Decoding the output of `ip -j`, with refusals that say where in the file and what command makes a
// good one. Off the packet path, so Foundation's decoder does.

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

extension SnapshotFile {
  /// The entries of the JSON array in the file, which `command` prints.
  func entries<Entry: Decodable>(
    _: Entry.Type, madeBy command: String
  ) throws(HostSnapshotError) -> [Entry] {
    do {
      return try JSONDecoder().decode([Entry].self, from: bytes)
    } catch let error as DecodingError {
      throw refusal(error, madeBy: command)
    } catch {
      throw HostSnapshotError(file: path, "cannot be decoded; make it with `\(command)`")
    }
  }

  private func refusal(_ error: DecodingError, madeBy command: String) -> HostSnapshotError {
    switch error {
    case .typeMismatch(_, let context), .valueNotFound(_, let context),
      .keyNotFound(_, let context):
      return HostSnapshotError(
        file: path,
        "\(place(context.codingPath)) is not as `\(command)` prints it; make it again so")
    case .dataCorrupted(let context) where !context.codingPath.isEmpty:
      return HostSnapshotError(
        file: path,
        "\(place(context.codingPath)) is not as `\(command)` prints it; make it again so")
    case .dataCorrupted:
      let line = bytes.isEmpty ? nil : lineOfFirstFault
      return HostSnapshotError(
        file: path, line: line,
        bytes.isEmpty
          ? "is empty; make it with `\(command)`"
          : "is not the JSON `\(command)` prints; make it again with that (the `-j` matters)")
    @unknown default:
      return HostSnapshotError(file: path, "cannot be decoded; make it with `\(command)`")
    }
  }

  /// Text that is not JSON at all, which is the usual mistake, is at fault from its first line on;
  /// for the rest, the decoder does not say where.
  private var lineOfFirstFault: Int? {
    let first = bytes.first { $0 > 0x20 }
    return first == UInt8(ascii: "[") ? nil : 1
  }

  /// `entry 3, addr_info 1, prefixlen`: counted from 1.
  private func place(_ codingPath: [any CodingKey]) -> String {
    if codingPath.isEmpty { return "the whole" }
    var words = ""
    for key in codingPath {
      if let index = key.intValue {
        words += words.isEmpty ? "entry \(index + 1)" : " \(index + 1)"
      } else {
        words += ", \(key.stringValue)"
      }
    }
    return words
  }
}

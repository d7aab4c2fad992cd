// timeouts.txt: timeout policies as `nfct list timeout` prints them, which rules name by
// `CT --timeout`.
//
//   .long = {
//           .l3proto = 2,
//           .l4proto = 6,
//           .policy = {
//                   .ESTABLISHED = 100,
//           },
//   };

import Conntrack
import Wire

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

package enum TimeoutsFile {
  /// The kernel's own limit lies far above what anyone has.
  private static let most = 65_534

  /// For the fuzzer: the policies of any bytes.
  package static func parse(
    path: String, bytes: [UInt8]
  ) throws(HostSnapshotError) -> [TimeoutPolicy] {
    try parse(SnapshotFile(path: path, bytes: Data(bytes)))
  }

  static func parse(_ file: SnapshotFile) throws(HostSnapshotError) -> [TimeoutPolicy] {
    var reader = Reader(path: file.path)
    for line in SnapshotLine.lines(of: file.text) { try reader.take(line) }
    return try reader.finish()
  }

  private struct Reader {
    let path: String
    private var policies: [TimeoutPolicy] = []
    /// The policy being read: its name, numbers, and times with the lines they stand on.
    private var name: String?
    private var family: Int?
    private var transport: Int?
    private var times: [(line: Int, state: String, seconds: Int)] = []
    private var isInTimes = false
    private var lastLine = 1

    init(path: String) { self.path = path }

    private func problem(_ line: Int, _ message: String) -> HostSnapshotError {
      HostSnapshotError(file: path, line: line, message)
    }

    mutating func take(_ line: SnapshotLine) throws(HostSnapshotError) {
      lastLine = line.number
      switch line.text {
      case "};" where name != nil && !isInTimes: try end(line.number)
      case "}," where isInTimes: isInTimes = false
      case ".policy = {" where name != nil && !isInTimes: isInTimes = true
      default:
        let parts = line.text.split(separator: " ")
        guard parts.count == 3, parts[0].hasPrefix("."), parts[0].count > 1, parts[1] == "=" else {
          throw unexpected(line)
        }
        try assign(String(parts[0].dropFirst()), parts[2], line)
      }
    }

    private func unexpected(_ line: SnapshotLine) -> HostSnapshotError {
      problem(
        line.number,
        "`\(line.text.prefix(80))` is no part of a policy as `nfct list timeout` prints it")
    }

    private mutating func assign(
      _ key: String, _ value: Substring, _ line: SnapshotLine
    ) throws(HostSnapshotError) {
      if value == "{" {
        guard name == nil else { throw unexpected(line) }
        name = key
        return
      }
      guard name != nil, value.last == ",", let number = Int(value.dropLast()),
        (0...Int(UInt32.max)).contains(number)
      else { throw unexpected(line) }
      switch key {
      case _ where isInTimes: times.append((line.number, key, number))
      case "l3proto": family = number
      case "l4proto": transport = number
      default: throw unexpected(line)
      }
    }

    private mutating func end(_ line: Int) throws(HostSnapshotError) {
      let name = name ?? ""
      // AF_INET and AF_INET6.
      guard let addresses: AddressFamily = family == 2 ? .ipv4 : family == 10 ? .ipv6 : nil,
        let number = transport.flatMap({ UInt8(exactly: $0) }),
        var policy = TimeoutPolicy(name: name, family: addresses, protocolNumber: number)
      else {
        throw problem(line, "`\(name)` is of a protocol that has no timeout policies")
      }
      for time in times {
        let nanoseconds = Int64(min(time.seconds, Int(Int32.max))) * 1_000_000_000
        guard policy.set(time.state, nanoseconds: nanoseconds) else {
          throw problem(
            time.line,
            "the protocol of `\(name)` has no state `\(time.state)`; it has "
              + policy.stateNames.joined(separator: ", "))
        }
      }
      guard !policies.contains(where: { $0.name == name }) else {
        throw problem(line, "there are two policies called `\(name)`")
      }
      guard policies.count < most else { throw problem(line, "there are too many policies") }
      policies.append(policy)
      self.name = nil
      family = nil
      transport = nil
      times = []
    }

    func finish() throws(HostSnapshotError) -> [TimeoutPolicy] {
      guard name == nil else {
        throw problem(lastLine, "the policy `\(name ?? "")` does not end; expected `};`")
      }
      return policies
    }
  }
}

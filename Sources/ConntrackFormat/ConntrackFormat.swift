// The name space of this target: what a caller chooses about output, and where the words come from.
// For whoever prints a table (`weir conntrack`, `weir replay`) or reads one back (a host snapshot).

import Conntrack
import Wire

/// Entries, events and counters as `conntrack` 1.4.7 and `/proc/net/nf_conntrack` print them, byte
/// for byte, and entries read back.
///
/// The source of every form is the program itself, run against the kernel in a network namespace.
public enum ConntrackFormat {
  /// What `conntrack -V` says it is; it begins every message.
  public static let programBanner = "conntrack v1.4.7 (conntrack-tools)"
}

/// What `-o` chooses (`man conntrack`), and the two facts about the world a line may need.
public struct ConntrackOutput: Hashable, Sendable {
  /// `-o extended`: the network protocol and its number come first.
  public var extended = false
  /// `-o id`: `id=` at the end.
  public var id = false
  /// `-o timestamp`: the time an event was received before it. Listings do not change.
  public var timestamp = false
  /// `-o ktimestamp`: when the connection began and ended, as calendar times.
  public var kernelTimestamps = false
  /// `-o labels`: the names of the labels that are set. A filter by label turns it on as well.
  public var labels: LabelNames?
  /// Now, nanoseconds since 1970: `delta-time=` of a connection that still lives counts up to it.
  public var nowNanoseconds: Int64 = 0
  /// What local time is ahead of UTC, for the calendar times.
  public var secondsAheadOfUTC: Int64 = 0

  public init() {}

  /// Takes the words of one `-o`, comma-separated: `extended`, `timestamp`, `id`, `ktimestamp`,
  /// `labels`, in any case. `userspace` is taken and changes nothing, as in 1.4.7, which always
  /// names the process behind an event.
  /// - Parameter labelNames: what `labels` prints names from.
  public mutating func add(words: String, labelNames: LabelNames = LabelNames())
    throws(ConntrackArgumentError)
  {
    for word in words.split(separator: ",", omittingEmptySubsequences: false) {
      switch word.lowercased() {
      case "extended": extended = true
      case "timestamp": timestamp = true
      case "id": id = true
      case "ktimestamp": kernelTimestamps = true
      case "labels": labels = labelNames
      case "userspace": break
      default: throw .init("Bad parameter `\(word)'")
      }
    }
  }
}

// What `conntrack` says around its lines: the closing counts, `-C`, `-S`, failures. For the command
// `weir conntrack`.

import Conntrack

/// Messages of `conntrack` 1.4.7, each without its line feed. All but `count` and `statistics` go to
/// standard error.
///
/// Exit status: 0; 1 where the kernel refused, and where `-D` or `-U` found nothing; 2 for an
/// argument that cannot be used (`ConntrackArgumentError`). `-L` with nothing to show exits with 0.
public enum ConntrackMessage {
  /// `-L`, `-G`.
  public static func shown(_ count: Int) -> String { flows(count, "entries have been shown") }
  /// `-D`.
  public static func deleted(_ count: Int) -> String { flows(count, "entries have been deleted") }
  /// `-I`.
  public static func created(_ count: Int) -> String { flows(count, "entries have been created") }
  /// `-A`.
  public static func added(_ count: Int) -> String { flows(count, "entries have been added") }
  /// `-U`.
  public static func updated(_ count: Int) -> String { flows(count, "entries have been updated") }
  /// `-E`, when it ends.
  public static func eventsShown(_ count: Int) -> String { flows(count, "events have been shown") }
  /// `-L expect`.
  public static func expectationsShown(_ count: Int) -> String {
    say("\(count) expectations have been shown.")
  }
  /// `-D expect`, `-I expect`.
  public static func expectationsChanged(_ count: Int, _ what: String) -> String {
    say("\(count) expectations have been \(what).")
  }
  /// `-E expect`, when it ends.
  public static func expectationEventsShown(_ count: Int) -> String {
    say("\(count) expectation events have been shown.")
  }
  /// One line of `-S expect`; it ends in a space.
  public static func statistics(_ statistics: ExpectationStatistics, cpu: Int) -> String {
    var buffer: [UInt8] = []
    append(cpu: cpu, to: &buffer)
    buffer.append("expect_new=", number: statistics.new)
    buffer.append("expect_create=", number: statistics.create)
    buffer.append("expect_delete=", number: statistics.delete)
    return String(decoding: buffer, as: UTF8.self)
  }
  /// `-F`.
  public static let emptied = say("connection tracking table has been emptied.")
  /// `-F expect`.
  public static let expectationsEmptied = say("expectation table has been emptied.")
  /// `-G` and `-D` of an entry that is not there. Exit status 1.
  public static let noSuchConnection = failed("such conntrack doesn't exist")
  /// `-I` of an entry that is there already. Exit status 1.
  public static let connectionExists = failed("Such conntrack exists, try -U to update")
  /// A request the table cannot meet. Exit status 1.
  public static let invalidParameters = failed("invalid parameters")

  /// Any failure that is not the arguments' fault. Exit status 1.
  public static func failed(_ reason: String) -> String { say("Operation failed: \(reason)") }

  /// Any sentence after the program's banner.
  public static func say(_ sentence: String) -> String {
    "\(ConntrackFormat.programBanner): \(sentence)"
  }

  /// `-E`, where events were lost: three lines.
  public static let eventsLost = """
    WARNING: We have hit ENOBUFS! We are losing events.
    This message means that the current netlink socket buffer size is too small.
    Please, check --buffer-size in conntrack(8) manpage.
    """

  /// `-C`: the number alone.
  public static func count(_ count: Int) -> String { "\(count)" }

  /// One line of `-S`; it ends in a space.
  public static func statistics(_ statistics: ConntrackStatistics, cpu: Int) -> String {
    var buffer: [UInt8] = []
    append(statistics, cpu: cpu, to: &buffer)
    return String(decoding: buffer, as: UTF8.self)
  }

  /// Appends one line of `-S`, without a line feed.
  public static func append(
    _ statistics: ConntrackStatistics, cpu: Int, to buffer: inout [UInt8]
  ) {
    append(cpu: cpu, to: &buffer)
    buffer.append("found=", number: statistics.found)
    buffer.append("invalid=", number: statistics.invalid)
    buffer.append("insert=", number: statistics.insert)
    buffer.append("insert_failed=", number: statistics.insertFailed)
    buffer.append("drop=", number: statistics.drop)
    buffer.append("early_drop=", number: statistics.earlyDrop)
    buffer.append("error=", number: statistics.error)
    buffer.append("search_restart=", number: statistics.searchRestart)
    buffer.append("clash_resolve=", number: statistics.clashResolve)
    buffer.append("chaintoolong=", number: statistics.chainTooLong)
  }

  private static func append(cpu: Int, to buffer: inout [UInt8]) {
    buffer.append("cpu=")
    let start = buffer.count
    buffer.append(decimal: UInt64(max(0, cpu)))
    buffer.pad(from: start, to: 4)
    buffer.append("\t")
  }

  private static func flows(_ count: Int, _ what: String) -> String {
    say("\(count) flow \(what).")
  }
}

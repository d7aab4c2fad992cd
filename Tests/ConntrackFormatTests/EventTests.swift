// Events against lines `conntrack -E` printed while packets passed a router in a network namespace.

import Conntrack
import ConntrackFormat
import Testing

@Suite struct EventTests {
  /// The event of `line`'s text after its bracketed kind.
  private func event(_ kind: ConnectionEventKind, _ line: String) throws -> ConnectionEvent {
    ConnectionEvent(
      kind: kind, connection: try connection(line), timeNanoseconds: 1_795_524_008_038_680_123)
  }

  private let writer = ConnectionWriter()

  static let recorded: [(ConnectionEventKind, String)] = [
    (
      .new,
      "    [NEW] tcp      6 120 SYN_SENT src=10.1.0.2 dst=10.2.0.2 sport=57460 dport=8000 [UNREPLIED] src=10.2.0.2 dst=10.2.0.9 sport=8000 dport=57460"
    ),
    (
      .update,
      " [UPDATE] tcp      6 432000 ESTABLISHED src=10.1.0.2 dst=10.2.0.2 sport=57460 dport=8000 src=10.2.0.2 dst=10.2.0.9 sport=8000 dport=57460 [ASSURED]"
    ),
    (
      .new,
      "    [NEW] tcp      6 120 SYN_SENT src=10.1.0.2 dst=10.2.0.2 sport=53154 dport=21 [UNREPLIED] src=10.2.0.2 dst=10.1.0.2 sport=21 dport=53154 mark=7 helper=ftp"
    ),
    (
      .new,
      "    [NEW] udp      17 30 src=2001:db8:a::2 dst=2001:db8:b::2 sport=43869 dport=4444 [UNREPLIED] src=2001:db8:b::2 dst=2001:db8:a::2 sport=4444 dport=43869 mark=7"
    ),
    (
      .new,
      "    [NEW] gre      47 30 src=10.1.0.2 dst=10.2.0.2 srckey=0x0 dstkey=0x4d [UNREPLIED] src=10.2.0.2 dst=10.1.0.2 srckey=0x4d dstkey=0x0 mark=7"
    ),
    (
      .new,
      "    [NEW] unknown  253 600 src=10.1.0.2 dst=10.2.0.2 [UNREPLIED] src=10.2.0.2 dst=10.1.0.2"
    ),
    (
      .new,
      "    [NEW] dccp     33 600 src=10.1.0.2 dst=10.2.0.2 sport=0 dport=0 [UNREPLIED] src=10.2.0.2 dst=10.1.0.2 sport=0 dport=0 mark=7"
    ),
    (
      .new,
      "    [NEW] sctp     132 10 CLOSED src=10.1.0.2 dst=10.2.0.2 sport=1000 dport=2000 [UNREPLIED] src=10.2.0.2 dst=10.1.0.2 sport=2000 dport=1000"
    ),
    (
      .update,
      " [UPDATE] icmpv6   58 30 src=2001:db8:a::2 dst=2001:db8:b::2 type=128 code=0 id=10062 src=2001:db8:b::2 dst=2001:db8:a::2 type=129 code=0 id=10062 mark=7"
    ),
    // At the end: no seconds left, no helper; the state stays.
    (
      .destroy,
      "[DESTROY] udp      17 src=10.1.0.2 dst=10.2.0.2 sport=59000 dport=5555 src=10.2.0.2 dst=10.1.0.2 sport=5555 dport=59000"
    ),
    (
      .destroy,
      "[DESTROY] tcp      6 TIME_WAIT src=10.1.0.2 dst=10.2.0.2 sport=45434 dport=8001 src=10.2.0.2 dst=10.1.0.2 sport=8001 dport=45434 [ASSURED]"
    ),
    (
      .destroy,
      "[DESTROY] sctp     132 CLOSED src=10.1.0.2 dst=10.2.0.2 sport=1000 dport=2000 packets=1 bytes=52 [UNREPLIED] src=10.2.0.2 dst=10.1.0.2 sport=2000 dport=1000 packets=0 bytes=0"
    ),
  ]

  @Test(arguments: recorded)
  func asRecorded(kind: ConnectionEventKind, line: String) throws {
    let text = line.drop { $0 != "]" }.dropFirst(2)
    #expect(writer.line(try event(kind, String(text))) == line)
  }

  @Test func beginningsHideCountersAndAge() throws {
    var event = try event(
      .update,
      "udp 17 30 src=1.1.1.1 dst=2.2.2.2 sport=1 dport=2 packets=3 bytes=90 "
        + "src=2.2.2.2 dst=1.1.1.1 sport=2 dport=1 packets=1 bytes=30 use=1")
    event.connection.startNanoseconds = 5
    #expect(
      writer.line(event)
        == " [UPDATE] udp      17 30 src=1.1.1.1 dst=2.2.2.2 sport=1 dport=2 "
        + "src=2.2.2.2 dst=1.1.1.1 sport=2 dport=1")
    event.markChanged = true
    #expect(writer.line(event).hasSuffix("sport=2 dport=1 mark=0"))
  }

  @Test func deletedByAProcess() throws {
    var event = try event(
      .destroy,
      "icmp 1 29 src=10.1.0.2 dst=10.2.0.2 type=8 code=0 id=10061 packets=2 bytes=168 "
        + "src=10.2.0.2 dst=10.1.0.2 type=0 code=0 id=10061 packets=2 bytes=168 mark=7")
    event.connection.startNanoseconds = 1_795_523_965_900_000_000
    event.connection.stopNanoseconds = 1_795_523_966_100_000_000
    event.requester = EventRequester(portID: 2_670_224_218)
    let start =
      "[DESTROY] icmp     1 29 src=10.1.0.2 dst=10.2.0.2 type=8 code=0 id=10061 packets=2 bytes=168 "
      + "src=10.2.0.2 dst=10.1.0.2 type=0 code=0 id=10061 packets=2 bytes=168 mark=7 delta-time=1"
    #expect(writer.line(event) == start + " [USERSPACE] portid=2670224218")
    event.requester?.programName = "conntrack"
    #expect(
      writer.line(event) == start + " [USERSPACE] portid=2670224218 progname=conntrack")
  }

  @Test func everyOption() throws {
    var event = try event(
      .destroy,
      "udp 17 0 src=10.1.0.2 dst=10.2.0.2 sport=52957 dport=5555 packets=2 bytes=60 "
        + "src=10.2.0.2 dst=10.1.0.2 sport=5555 dport=52957 packets=2 bytes=60 id=130665525")
    event.connection.startNanoseconds = 1_795_524_008_000_000_000
    event.connection.stopNanoseconds = 1_795_524_010_000_000_000
    event.timeNanoseconds = 1_795_524_010_300_070_999
    var output = ConntrackOutput()
    try output.add(words: "extended,timestamp,id,ktimestamp")
    #expect(
      ConnectionWriter(output).line(event)
        == "[1795524010.300070]\t[DESTROY] ipv4     2 udp      17 src=10.1.0.2 dst=10.2.0.2 "
        + "sport=52957 dport=5555 packets=2 bytes=60 src=10.2.0.2 dst=10.1.0.2 sport=5555 "
        + "dport=52957 packets=2 bytes=60 delta-time=2 [start=Tue Nov 24 12:40:08 2026] "
        + "[stop=Tue Nov 24 12:40:10 2026] id=130665525")
    event.timeNanoseconds = 5_038_680_000
    #expect(ConnectionWriter(output).line(event).hasPrefix("[5       .038680]\t[DESTROY] "))
  }

  @Test func xml() throws {
    var output = ConntrackOutput()
    output.timestamp = true
    var event = try event(
      .destroy,
      "udp 17 99 src=1.1.1.1 dst=2.2.2.2 sport=10 dport=20 packets=0 bytes=0 [UNREPLIED] "
        + "src=2.2.2.2 dst=1.1.1.1 sport=20 dport=10 packets=0 bytes=0 mark=5 id=918962271")
    event.connection.startNanoseconds = 7
    event.connection.stopNanoseconds = 8
    event.timeNanoseconds = 1_795_523_965_000_000_000
    #expect(
      XMLWriter(output).line(event)
        == "<flow type=\"destroy\"><meta direction=\"original\"><layer3 protonum=\"2\" "
        + "protoname=\"ipv4\"><src>1.1.1.1</src><dst>2.2.2.2</dst></layer3><layer4 protonum=\"17\" "
        + "protoname=\"udp\"><sport>10</sport><dport>20</dport></layer4><counters><packets>0"
        + "</packets><bytes>0</bytes></counters></meta><meta direction=\"reply\"><layer3 "
        + "protonum=\"2\" protoname=\"ipv4\"><src>2.2.2.2</src><dst>1.1.1.1</dst></layer3><layer4 "
        + "protonum=\"17\" protoname=\"udp\"><sport>20</sport><dport>10</dport></layer4><counters>"
        + "<packets>0</packets><bytes>0</bytes></counters></meta><meta direction=\"independent\">"
        + "<timeout>99</timeout><mark>5</mark><id>918962271</id><unreplied/><deltatime>0"
        + "</deltatime></meta><when><hour>12</hour><min>39</min><sec>25</sec><wday>3</wday>"
        + "<day>24</day><month>11</month><year>2026</year></when></flow>")
    event.kind = .new
    event.connection.helperName = "ftp"
    let line = XMLWriter(output).line(event)
    #expect(line.hasPrefix("<flow type=\"new\">"))
    #expect(
      line.hasSuffix(
        "<unreplied/></meta><when><hour>12</hour><min>39</min><sec>25</sec>"
          + "<wday>3</wday><day>24</day><month>11</month><year>2026</year></when>"
          + "<helper>ftp</helper></flow>"))
    #expect(!line.contains("<counters>"))
    output.timestamp = false
    output.kernelTimestamps = true
    #expect(
      XMLWriter(output).line(event.connection).contains(
        "<use>1</use><id>918962271</id><unreplied/><timestamp><start>7</start><stop>8</stop>"
          + "</timestamp><deltatime>0</deltatime></meta><helper>ftp</helper></flow>"))
  }
}

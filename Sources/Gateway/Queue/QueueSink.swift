// What the firewall lets out of the packets of one round: which bytes each goes on with, and what Weir made
// besides. For the ports that the kernel hands packets to.

#if os(Linux)
  import Firewall
  import Ruleset
  import Wire

  struct QueueSink: PacketSink, ~Copyable {
    /// Packets of a round.
    static let most = 32

    struct Passed: BitwiseCopyable {
      /// How many packets left for this one, and the place of the first.
      var emitted: Int32 = 0
      var firstEmitted: Int32 = 0
      /// How many reached the host's programs.
      var delivered: Int32 = 0
      var firstDelivered: Int32 = 0
    }

    /// The bytes of packets that go on.
    var packets = TransmitQueue()
    /// Answers.
    var answers = TransmitQueue()
    private(set) var passed = InlineArray<32, Passed>(repeating: Passed())
    private var current = 0

    /// The next packet of the round; its arrival's number is its place in it.
    @inline(__always)
    mutating func begin(_ arrival: Arrival) { current = Int(arrival.number) & 31 }

    @inline(__always)
    mutating func emit(_ bytes: RawSpan, through interface: InterfaceID, isAnswer: Bool) {
      if isAnswer { return answers.append(bytes, interface: interface) }
      if passed[current].emitted == 0 { passed[current].firstEmitted = Int32(packets.count) }
      let before = packets.count
      packets.append(bytes, interface: interface)
      passed[current].emitted += Int32(packets.count - before)
    }

    mutating func deliver(_ bytes: RawSpan, from interface: InterfaceID, isAnswer: Bool) {
      if isAnswer { return answers.append(bytes, interface: interface) }
      if passed[current].delivered == 0 { passed[current].firstDelivered = Int32(packets.count) }
      let before = packets.count
      packets.append(bytes, interface: interface)
      passed[current].delivered += Int32(packets.count - before)
    }

    mutating func removeAll() {
      packets.removeAll()
      answers.removeAll()
      for place in passed.indices { passed[place] = Passed() }
    }
  }
#endif

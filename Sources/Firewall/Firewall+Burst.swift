// A burst of packets through the hooks: first all are read and hashed, then their connections' records
// are asked for, then each goes its way, in order. The first two passes change nothing, so what comes out
// is what comes out of one packet at a time.

import Conntrack
import NAT
import Wire

extension Firewall {
  /// Packets that came in from outside, in order. What became of each is in the burst afterwards.
  ///
  /// Their times must not go back.
  public mutating func receive<
    Sink: PacketSink & ~Copyable, Observer: FirewallObserver & ~Copyable
  >(
    _ burst: inout PacketBurst, to sink: inout Sink, observer: inout Observer
  ) {
    lookAhead(&burst)
    for index in 0..<burst.count {
      let arrival = burst.lanes[index].arrival
      sink.begin(arrival)
      advance(to: arrival.timeNanoseconds, to: &sink, observer: &observer)
      if burst.lanes[index].plain.isPlain {
        if !Observer.isActive, takeWay(&burst, index, arrival, to: &sink) { continue }
        burst.outcomes[index] = receive(
          &burst.packets[index], arrival, burst.lanes[index].plain, to: &sink, observer: &observer)
      } else {
        burst.outcomes[index] = receiveOdd(
          burst.packets[index].bytes, arrival, to: &sink, observer: &observer)
      }
    }
  }

  /// What the last packet of a burst has become, whether it left or not: for an instrument.
  package mutating func takeRest(of burst: borrowing PacketBurst) -> [UInt8] {
    let last = burst.count - 1
    if burst.lanes[last].plain.isPlain { return burst.packets[last].bytes.array }
    guard let whole = wholeBuffer.take() else { return [] }
    let bytes = Firewall.copy(whole)
    wholeBuffer = consume whole
    return bytes
  }

  private static func copy(_ buffer: borrowing PacketBuffer) -> [UInt8] { buffer.bytes.array }

  /// Lets a plain packet of an established connection take the way that the connection remembers.
  /// - Returns: false, with nothing changed, where it has to go through the hooks.
  @inline(__always)
  private mutating func takeWay<Sink: PacketSink & ~Copyable>(
    _ burst: inout PacketBurst, _ index: Int, _ arrival: Arrival, to sink: inout Sink
  ) -> Bool {
    var plain = burst.lanes[index].plain
    guard tracker.findPlain(burst.packets[index].bytes, &plain) else { return false }
    let number = Int(tracker.way(plain))
    guard number != 0, ways.ways[number].inInterface == arrival.interface,
      plain.length <= Int(ways.ways[number].longest), arrival.packetType == .unicast,
      !arrival.isFilledUp
    else { return false }
    guard plain.hopLimit > 1, tracker.trackPlain(burst.packets[index].bytes, plain) else {
      return false
    }

    ways.ways[number].packets &+= 1
    ways.ways[number].bytes &+= UInt64(plain.length)
    burst.outcomes[index] = ways.ways[number].outcome
    burst.outcomes[index].connection = plain.connection
    burst.outcomes[index].direction = plain.direction
    let translates = ways.ways[number].translates
    burst.packets[index].resize(to: plain.length)
    NATRewriter.forward(&burst.packets[index], plain, &tracker, translates: translates)
    sink.emit(
      burst.packets[index].bytes, through: ways.ways[number].outcome.outInterface, isAnswer: false)
    return true
  }

  /// Reads all, and asks for the memory they will need.
  @inline(__always)
  private mutating func lookAhead(_ burst: inout PacketBurst) {
    for index in 0..<burst.count {
      burst.lanes[index].plain = tracker.lookAhead(
        burst.packets[index].bytes, burst.lanes[index].arrival.family)
    }
    for index in 0..<burst.count { tracker.fetch(&burst.lanes[index].plain) }
  }

  /// Decodes and tracks, and nothing else: what tracking alone costs, for the benchmark.
  public mutating func track(_ burst: inout PacketBurst) {
    lookAhead(&burst)
    for index in 0..<burst.count {
      advance(to: burst.lanes[index].arrival.timeNanoseconds)
      var plain = burst.lanes[index].plain
      if tracker.findPlain(burst.packets[index].bytes, &plain),
        tracker.trackPlain(burst.packets[index].bytes, plain)
      {
        continue
      }
      var headers = PacketHeaders()
      guard
        PacketHeaders.decode(
          burst.packets[index].bytes, family: burst.lanes[index].arrival.family, into: &headers)
          == nil
      else { continue }
      let tracking = tracker.track(
        burst.packets[index].bytes, headers, hook: .prerouting, key: burst.lanes[index].plain.key)
      _ = tracker.finish(tracking, passed: true)
    }
  }

  /// A packet that is not plain: perhaps a fragment, whose whole may be longer than a burst's packets.
  private mutating func receiveOdd<
    Sink: PacketSink & ~Copyable, Observer: FirewallObserver & ~Copyable
  >(
    _ bytes: RawSpan, _ arrival: Arrival, to sink: inout Sink, observer: inout Observer
  ) -> PacketOutcome {
    guard var whole = wholeBuffer.take() else {
      preconditionFailure("the buffer is put back below")
    }
    _ = whole.assign(bytes)
    let outcome = receive(&whole, arrival, PlainPacket(), to: &sink, observer: &observer)
    wholeBuffer = consume whole
    return outcome
  }
}

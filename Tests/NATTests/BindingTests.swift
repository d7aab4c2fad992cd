// Choosing a binding: which ports a clash may lead to, what is kept, what one source is seen as, and
// what happens when a range has run out. Ranges as measured on Linux 6.18.

import Conntrack
import NAT
import PacketForge
import TestLab
import Testing
import Wire

let wanServer = Socket("198.51.100.2", 53)
let router: Address = "198.51.100.1"

func addresses(_ first: Address, _ last: Address? = nil) -> NATRange {
  NATRange(
    options: .mapAddresses, minAddress: first.value, maxAddress: (last ?? first).value)
}

func ports(
  _ address: Address, _ range: ClosedRange<UInt16>, _ options: NATRange.Options = []
) -> NATRange {
  NATRange(
    options: options.union([.mapAddresses, .portsSpecified]), minAddress: address.value,
    maxAddress: address.value, minPort: range.lowerBound, maxPort: range.upperBound)
}

@Suite struct BindingTests {
  /// The source the last packet's connection is seen with.
  func mapped(_ lab: TrackerLab) -> (address: IPAddress, port: UInt16) {
    let reply = lab.tracker.connections().last?.reply
    return (reply?.destination ?? .any, reply?.destinationPort ?? 0)
  }

  @Test func aFreePortIsKept() {
    let lab = TrackerLab()
    #expect(
      lab.passes(Socket("10.0.1.2", 1000).udp(to: wanServer), to: addresses(router)) == "NEW/o")
    #expect(
      lab.table == [
        "udp      17 30 src=10.0.1.2 dst=198.51.100.2 sport=1000 dport=53 [UNREPLIED] "
          + "src=198.51.100.2 dst=198.51.100.1 sport=53 dport=1000 mark=0 use=1"
      ])
  }

  @Test(
    arguments: [
      (1, 1...511), (100, 1...511), (511, 1...511), (512, 600...1023), (700, 600...1023),
      (1023, 600...1023), (1024, 1024...65535), (40000, 1024...65535),
    ] as [(UInt16, ClosedRange<UInt16>)])
  func aClashStaysInThePortsClass(port: UInt16, range: ClosedRange<UInt16>) {
    for seed in UInt64(1)...40 {
      let lab = TrackerLab(seed: seed)
      lab.passes(Socket("10.0.1.2", port).udp(to: wanServer), to: addresses(router))
      lab.passes(Socket("10.0.1.3", port).udp(to: wanServer), to: addresses(router))
      let chosen = mapped(lab).port
      #expect(range.contains(chosen) && chosen != port, "seed \(seed)")
    }
  }

  @Test func anotherDestinationIsNoClash() {
    let lab = TrackerLab()
    lab.passes(Socket("10.0.1.2", 1000).udp(to: wanServer), to: addresses(router))
    lab.passes(
      Socket("10.0.1.3", 1000).udp(to: Socket("198.51.100.3", 53)), to: addresses(router))
    #expect(mapped(lab).port == 1000)
  }

  @Test func oneSourceIsSeenAsOneSource() {
    let lab = TrackerLab()
    lab.passes(Socket("10.0.1.2", 1000).udp(to: wanServer), to: addresses(router))
    let other = Socket("10.0.1.3", 1000)
    lab.passes(other.udp(to: wanServer), to: addresses(router))
    let chosen = mapped(lab).port
    #expect(chosen != 1000)
    // Elsewhere 1000 would be free.
    lab.passes(other.udp(to: Socket("198.51.100.9", 99)), to: addresses(router))
    #expect(mapped(lab).port == chosen)
  }

  /// A source that may stay as it is, but is taken, draws anew, whatever it is seen as elsewhere.
  @Test func aSourceInTheRangeDrawsAnew() {
    let own: Address = "10.0.1.2"
    for range in [nil, addresses(own), addresses(own, "10.0.1.2"), ports(own, 1000...1999)] {
      let lab = TrackerLab()
      let other = Socket("10.0.1.3", 1000)
      let client = Socket("10.0.1.2", 1000)
      var seen: [UInt16] = []
      for last in 2...9 {
        let server = Socket(Address("198.51.100.\(last)"), 53)
        lab.passes(other.udp(to: server), to: addresses(own))
        let tracking = lab.track(client.udp(to: server))
        lab.tracker.bind(tracking.connection, .source, to: range)
        #expect(lab.tracker.finish(tracking, passed: true) == .done)
        seen.append(mapped(lab).port)
      }
      #expect(Set(seen).count > 4, "\(seen)")
    }
  }

  @Test func portsOfARangeRunOut() {
    let lab = TrackerLab()
    let range = ports(router, 2000...2003)
    var used: Set<UInt16> = []
    for number in UInt16(0)..<4 {
      #expect(
        lab.passes(Socket("10.0.1.2", 5000 + number).udp(to: wanServer), to: range) == "NEW/o")
      used.insert(mapped(lab).port)
    }
    #expect(used == [2000, 2001, 2002, 2003])
    #expect(lab.passes(Socket("10.0.1.2", 5004).udp(to: wanServer), to: range) == "clash")
    #expect(lab.table.count == 4)
    #expect(lab.tracker.count == 4)
    // To someone else all four are free.
    #expect(
      lab.passes(Socket("10.0.1.2", 5004).udp(to: Socket("198.51.100.3", 53)), to: range)
        == "NEW/o")
    // And here again once the others are over.
    lab.wait(31)
    #expect(lab.passes(Socket("10.0.1.2", 5005).udp(to: wanServer), to: range) == "NEW/o")
  }

  @Test func anOwnPortInTheRangeIsKept() {
    let lab = TrackerLab()
    lab.passes(Socket("10.0.1.2", 2002).udp(to: wanServer), to: ports(router, 2000...2003))
    #expect(mapped(lab).port == 2002)
  }

  @Test func randomPortsLieInTheRange() {
    var used: Set<UInt16> = []
    for seed in UInt64(1)...50 {
      let lab = TrackerLab(seed: seed)
      lab.passes(
        Socket("10.0.1.2", 3005).udp(to: wanServer), to: ports(router, 3000...3009, .random))
      used.insert(mapped(lab).port)
    }
    #expect(used.allSatisfy { (3000...3009).contains($0) })
    #expect(used.count > 4)
  }

  // MARK: Destinations

  func destination(_ lab: TrackerLab) -> (address: IPAddress, port: UInt16) {
    let reply = lab.tracker.connections().last?.reply
    return (reply?.source ?? .any, reply?.sourcePort ?? 0)
  }

  @Test func theFirstPortOfADestinationRangeIsTaken() {
    let lab = TrackerLab()
    lab.passes(
      Socket("10.0.1.2", 1000).udp(to: wanServer), .destination,
      to: ports("10.0.1.9", 90...93))
    #expect(destination(lab) == (Address("10.0.1.9").value, 90))
  }

  @Test func aShiftedRangeKeepsDistances() {
    let lab = TrackerLab()
    var range = ports("10.0.1.9", 190...199, .portOffset)
    range.basePort = 90
    lab.passes(
      Socket("10.0.1.2", 1000).udp(to: Socket("198.51.100.1", 91)), .destination, to: range)
    #expect(destination(lab).port == 191)
  }

  @Test func withoutPortsThePortIsKept() {
    let lab = TrackerLab()
    lab.passes(
      Socket("10.0.1.2", 1000).udp(to: wanServer), .destination, to: addresses("10.0.1.9"))
    #expect(destination(lab) == (Address("10.0.1.9").value, 53))
  }

  // MARK: Other protocols

  @Test func echoIdentifiers() {
    let lab = TrackerLab()
    lab.passes(.echoRequest(from: "10.0.1.2", to: "198.51.100.2", id: 5), to: addresses(router))
    lab.passes(.echoRequest(from: "10.0.1.3", to: "198.51.100.2", id: 5), to: addresses(router))
    let reply = lab.tracker.connections().map(\.reply)
    #expect(reply[0].sourcePort == 5)
    #expect(reply[1].sourcePort != 5)
  }

  @Test func protocolsWithoutPortsClash() {
    let lab = TrackerLab()
    let first = Packet(50, from: "10.0.1.2", to: "198.51.100.2", payload: [])
    let second = Packet(50, from: "10.0.1.3", to: "198.51.100.2", payload: [])
    #expect(lab.passes(first, to: addresses(router)) == "NEW/o")
    #expect(lab.passes(second, to: addresses(router)) == "clash")
  }

  @Test func aRangeOfAddressesGivesASourceOneAddress() {
    let lab = TrackerLab()
    let range = addresses("198.51.100.10", "198.51.100.13")
    var seen: Set<IPAddress> = []
    for number in UInt8(2)...60 {
      let client = Socket(Address("10.0.1.\(number)"), 1000)
      lab.passes(client.udp(to: wanServer), to: range)
      let first = mapped(lab)
      seen.insert(first.address)
      lab.passes(client.udp(to: Socket("198.51.100.2", 54)), to: range)
      #expect(mapped(lab) == first)
    }
    let range4 = Address("198.51.100.10").value...Address("198.51.100.13").value
    #expect(seen.allSatisfy { range4.contains($0) })
    #expect(seen.count > 1)
  }

  @Test func aRangeOfIdentifiersHoldsForDestinationsToo() {
    let lab = TrackerLab()
    lab.passes(
      Packet.echoRequest(from: "10.0.1.2", to: "198.51.100.2", id: 1), .destination,
      to: ports("198.51.100.2", 2000...2063))
    #expect(
      lab.tracker.connections().last.map { (2000...2063).contains($0.reply.sourcePort) } == true)
  }
}

// Reassembly, case by case as Linux 6.18 answered. A fragment is written `piece(offset, length,
// more)`; its data is the number of each unit of 8 bytes, so that a packet shows what it is made of.

import Testing
import Wire

/// A fragment of packet `id` from the client to the server.
func piece(
  _ family: AddressFamily, _ offset: Int, _ length: Int, more: Bool, id: UInt32 = 7,
  fill: UInt8? = nil, congestion: UInt8 = 0, dontFragment: Bool = false, hopLimit: UInt8 = 64,
  next: UInt8 = 17, before: [UInt8] = [], firstHeader: UInt8 = 44, source: IPAddress? = nil
) -> [UInt8] {
  var ip = fields(family)
  ip.trafficClass = congestion
  ip.hopLimit = hopLimit
  ip.identification = UInt16(truncatingIfNeeded: id)
  ip.dontFragment = dontFragment
  if let source { ip.source = source }
  let data = (0..<length).map { fill ?? UInt8(truncatingIfNeeded: (offset + $0) / 8) }
  var packet = PacketBuffer()
  switch family {
  case .ipv4:
    precondition(
      packet.buildIP(
        ip, transportProtocol: next, options: before.span.octets, payload: data.span.octets))
    packet.store16(
      packet.uint16(at: 6) | UInt16(offset / 8) | (more ? 0x2000 : 0), at: 6)
    packet.updateIPv4HeaderChecksum()
  case .ipv6:
    let header =
      [next, 0, UInt8(offset >> 8), UInt8(offset & 0xf8) | (more ? 1 : 0)]
      + [24, 16, 8, 0].map { UInt8(id >> $0 & 0xff) }
    let payload = before + header + data
    precondition(
      packet.buildIP(ip, transportProtocol: firstHeader, payload: payload.span.octets))
  }
  return packet.array
}

/// A reassembler, fed packet by packet; what it says, in a word.
struct Bench: ~Copyable {
  var reassembler: Reassembler
  var packet = PacketBuffer()
  var info: ReassembledPacket?
  var now: Int64 = 0

  init(_ settings: ReassemblySettings = ReassemblySettings()) {
    reassembler = Reassembler(settings)
  }

  mutating func send(_ bytes: [UInt8], user: UInt32 = 0, interface: UInt32 = 0) -> String {
    _ = packet.assign(bytes.span.octets)
    guard case .success(let headers) = decode(bytes) else { return "not IP" }
    info = nil
    let result = reassembler.add(
      &packet, headers: headers, now: now, user: user, interface: interface)
    switch result {
    case .unchanged: return "unchanged"
    case .held: return "held"
    case .dropped(let reason): return "\(reason)"
    case .complete(let info):
      self.info = info
      return "complete"
    }
  }

  /// The payload of the packet put together, one byte for each 8.
  var units: [UInt8] {
    guard case .success(let headers) = decode(packet.array) else { return [] }
    let start = headers.family == .ipv4 ? headers.networkHeaderLength : 40
    return stride(from: start, to: headers.end, by: 8).map { packet.uint8(at: $0) }
  }

  /// What each of these packets gets for an answer.
  mutating func send(all packets: [[UInt8]]) -> [String] {
    var answers: [String] = []
    for packet in packets { answers.append(send(packet)) }
    return answers
  }
}

/// Shorthands: first units, length in units.
private func four(_ unit: Int, _ count: Int, _ more: Bool, fill: UInt8? = nil) -> [UInt8] {
  piece(.ipv4, unit * 8, count * 8, more: more, fill: fill)
}

private func six(_ unit: Int, _ count: Int, _ more: Bool, fill: UInt8? = nil) -> [UInt8] {
  piece(.ipv6, unit * 8, count * 8, more: more, fill: fill)
}

@Suite struct ReassemblyIPv4Tests {
  @Test func inAnyOrder() {
    let pieces = [four(0, 2, true), four(2, 1, true), four(3, 1, false)]
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0], [1, 0, 2], [2, 0, 1], [0, 2, 1]] {
      var bench = Bench()
      let answers = bench.send(all: order.map { pieces[$0] })
      #expect(answers == ["held", "held", "complete"])
      #expect(bench.units == [0, 0x01, 0x02, 0x03].map { UInt8($0) })
      #expect(
        bench.packet.array.starts(with: hex("450000340007 0000 4011 7ca7 c0000201 cb007109")))
      #expect(bench.info?.maximumFragmentSize == 36)
      #expect(bench.info?.dontFragment == false)
      #expect(bench.info?.payloadOffset == 20)
      #expect(bench.info?.geometry.count == 3)
      #expect(bench.info?.geometry.lengths[0] == 16)
      #expect(bench.reassembler.waitingCount == 0)
    }
  }

  @Test func wholePacketsPass() {
    var bench = Bench()
    #expect(bench.send(udp()) == "unchanged")
    #expect(bench.send(udp { $0.dontFragment = true }) == "unchanged")
  }

  @Test func duplicates() {
    var bench = Bench()
    #expect(
      bench.send(all: [
        four(0, 3, true), four(0, 3, true, fill: 0xee), four(1, 1, true, fill: 0xee),
      ])
        == ["held", "duplicate", "duplicate"])
    #expect(bench.send(four(3, 1, false)) == "complete")
    #expect(bench.units == [0, 1, 2, 3])
  }

  @Test func duplicateOfSeveralInARow() {
    var bench = Bench()
    #expect(
      bench.send(all: [four(0, 1, true), four(1, 1, true), four(2, 1, true), four(0, 3, true)])
        == ["held", "held", "held", "duplicate"])
    // Out of order, the same bytes stand in separate runs: overlap.
    bench = Bench()
    #expect(
      bench.send(all: [four(0, 1, true), four(2, 1, true), four(1, 1, true), four(0, 3, true)])
        == ["held", "held", "held", "overlap"])
    #expect(bench.reassembler.waitingCount == 0)
  }

  @Test func overlapDropsAll() {
    var bench = Bench()
    #expect(
      bench.send(all: [
        four(0, 2, true), four(1, 2, true), four(3, 2, false), four(2, 1, true), four(0, 2, true),
      ]) == ["held", "overlap", "held", "held", "complete"])
    #expect(bench.units == [0, 1, 2, 3, 4])
  }

  @Test func lengthsThatAreNoMultipleOf8AreCut() {
    var bench = Bench()
    #expect(bench.send(piece(.ipv4, 0, 13, more: true)) == "held")
    #expect(bench.send(four(1, 1, false)) == "complete")
    #expect(bench.units == [0, 1])
    #expect(bench.info?.maximumFragmentSize == 28)
    #expect(bench.send(piece(.ipv4, 0, 5, more: true)) == "empty")
    #expect(bench.send(piece(.ipv4, 0, 0, more: true)) == "empty")
  }

  @Test func emptyDropsAll() {
    var bench = Bench()
    #expect(
      bench.send(all: [four(0, 1, true), four(1, 0, true), four(1, 1, false)])
        == ["held", "empty", "held"])
    bench = Bench()
    #expect(
      bench.send(all: [four(0, 1, true), four(1, 0, false), four(1, 1, false)])
        == ["held", "empty", "held"])
  }

  @Test func endsThatDifferDropAll() {
    var bench = Bench()
    #expect(
      bench.send(all: [four(0, 3, true), four(1, 1, false), four(3, 1, false)])
        == ["held", "endDiffers", "held"])
    bench = Bench()
    #expect(
      bench.send(all: [four(2, 1, false), four(3, 1, false), four(0, 2, true)])
        == ["held", "endDiffers", "held"])
    bench = Bench()
    #expect(
      bench.send(all: [four(2, 1, false), four(3, 1, true), four(0, 2, true)])
        == ["held", "endDiffers", "held"])
    // The same end, though it says more will follow: a duplicate.
    bench = Bench()
    #expect(
      bench.send(all: [four(2, 1, false), four(2, 1, true), four(0, 2, true)])
        == ["held", "duplicate", "complete"])
  }

  @Test func longest() {
    for (last, answer) in [(539, "complete"), (540, "tooLong"), (600, "tooLong")] {
      var bench = Bench()
      #expect(bench.send(piece(.ipv4, 0, 64_976, more: true)) == "held")
      #expect(bench.send(piece(.ipv4, 64_976, last, more: false)) == answer)
      #expect(bench.reassembler.waitingCount == 0)
    }
    // The offset field reaches further than any packet can.
    var bench = Bench()
    #expect(bench.send(piece(.ipv4, 65_528, 1400, more: false)) == "held")
  }

  @Test func headerIsTheFirstFragments() {
    var bench = Bench()
    let options = hex("94040000 44040500")
    _ = bench.send(piece(.ipv4, 16, 8, more: false, hopLimit: 9))
    #expect(
      bench.send(piece(.ipv4, 0, 16, more: true, hopLimit: 50, before: options)) == "complete")
    #expect(
      bench.packet.array.starts(
        with: hex("470000340007 0000 3211 ab9e c0000201 cb007109 94040000 44040500")))
    // Options of a later fragment are lost.
    _ = bench.send(piece(.ipv4, 0, 16, more: true))
    #expect(bench.send(piece(.ipv4, 16, 8, more: false, before: options)) == "complete")
    #expect(bench.packet.uint8(at: 0) == 0x45)
  }

  /// DF survives when a largest fragment has it.
  @Test(arguments: [
    (true, 16, true, 8, true), (true, 16, false, 8, true), (false, 16, true, 8, false),
    (false, 16, true, 16, true), (false, 16, false, 16, false),
  ])
  func dontFragment(
    _ first: Bool, _ firstLength: Int, _ second: Bool, _ secondLength: Int, _ result: Bool
  ) {
    var bench = Bench()
    _ = bench.send(piece(.ipv4, 0, firstLength, more: true, dontFragment: first))
    let last = piece(.ipv4, firstLength, secondLength, more: false, dontFragment: second)
    #expect(bench.send(last) == "complete")
    #expect((bench.packet.uint8(at: 6) == 0x40) == result)
    #expect(bench.info?.dontFragment == result)
  }

  /// RFC 3168 section 5.3, as the kernel applies it: rows are the first fragment's ECN bits.
  @Test(arguments: AddressFamily.allCases) func congestionMarks(_ family: AddressFamily) {
    let expected: [[UInt8?]] = [
      [0, nil, nil, nil], [nil, 1, 1, 3], [nil, 2, 2, 3], [nil, 3, 3, 3],
    ]
    for first: UInt8 in 0..<4 {
      for second: UInt8 in 0..<4 {
        var bench = Bench()
        _ = bench.send(piece(family, 0, 16, more: true, congestion: 0x10 | first))
        let answer = bench.send(piece(family, 16, 8, more: false, congestion: 0x20 | second))
        if let result = expected[Int(first)][Int(second)] {
          #expect(answer == "complete")
          let headers = try? decode(bench.packet.array).get()
          #expect(headers?.trafficClass == 0x10 | result)
        } else {
          #expect(answer == "congestionMarks")
        }
      }
    }
  }

  @Test func keptApart() {
    var bench = Bench()
    _ = bench.send(piece(.ipv4, 0, 8, more: true))
    #expect(bench.send(piece(.ipv4, 8, 8, more: false, id: 8)) == "held")
    #expect(bench.send(piece(.ipv4, 8, 8, more: false, next: 6)) == "held")
    #expect(bench.send(piece(.ipv4, 8, 8, more: false, source: address("192.0.2.2"))) == "held")
    #expect(bench.send(piece(.ipv4, 8, 8, more: false), user: 1) == "held")
    #expect(bench.reassembler.waitingCount == 5)
    #expect(bench.send(piece(.ipv4, 8, 8, more: false)) == "complete")
  }

  @Test(arguments: [(63, "complete"), (64, "held")])
  func distance(_ others: UInt32, _ answer: String) {
    var bench = Bench()
    #expect(bench.send(piece(.ipv4, 0, 16, more: true)) == "held")
    for other in 0..<others { _ = bench.send(piece(.ipv4, 0, 16, more: true, id: 100 + other)) }
    #expect(bench.send(piece(.ipv4, 16, 8, more: false)) == answer)
    if answer == "held" { #expect(bench.send(piece(.ipv4, 0, 16, more: true)) == "complete") }
  }

  @Test func duplicatesAreNoDistance() {
    var bench = Bench()
    for _ in 0..<100 { _ = bench.send(four(0, 2, true)) }
    #expect(bench.send(four(2, 1, false)) == "complete")
  }
}

@Suite struct ReassemblyIPv6Tests {
  @Test func fragmentHeaderGoes() {
    for reversed in [false, true] {
      var bench = Bench()
      let pieces = [six(0, 2, true), six(2, 1, false)]
      let answers = bench.send(all: reversed ? pieces.reversed() : pieces)
      #expect(answers == ["held", "complete"])
      #expect(bench.packet.array.starts(with: hex("6000 0000 0018 11 40")))
      #expect(bench.packet.array.count == 64)
      #expect(bench.units == [0, 1, 2])
      #expect(bench.info?.maximumFragmentSize == 64)
    }
  }

  @Test func atomic() {
    var bench = Bench()
    #expect(bench.send(six(0, 2, false)) == "complete")
    #expect(bench.packet.array.starts(with: hex("6000 0000 0010 11 40")))
    // Linux takes it for a fragment among others.
    #expect(bench.send(six(0, 2, true)) == "held")
    #expect(bench.send(six(0, 2, false)) == "duplicate")
    #expect(bench.send(six(2, 1, false)) == "endDiffers")
  }

  @Test func overlapDropsAll() {
    var bench = Bench()
    #expect(
      bench.send(all: [
        six(0, 2, true), six(1, 2, true), six(3, 2, false), six(2, 1, true), six(0, 2, true),
      ]) == ["held", "overlap", "held", "held", "complete"])
  }

  @Test func errorsKeepTheRest() {
    var bench = Bench()
    #expect(
      bench.send(all: [six(0, 3, true), six(1, 1, false), six(3, 1, false)])
        == ["held", "endDiffers", "complete"])
    bench = Bench()
    #expect(
      bench.send(all: [six(2, 1, false), six(3, 1, false), six(3, 1, true), six(0, 2, true)])
        == ["held", "endDiffers", "endDiffers", "complete"])
    bench = Bench()
    #expect(
      bench.send(all: [six(0, 1, true), six(1, 0, true), six(1, 1, false)])
        == ["held", "empty", "complete"])
    // An empty last fragment still says where the packet ends.
    bench = Bench()
    #expect(
      bench.send(all: [six(0, 1, true), six(1, 0, false), six(1, 1, false)])
        == ["held", "empty", "endDiffers"])
  }

  @Test func lengthsThatAreNoMultipleOf8PassAndDropTheRest() {
    var bench = Bench()
    #expect(bench.send(six(0, 1, true)) == "held")
    #expect(bench.send(piece(.ipv6, 8, 13, more: true)) == "unchanged")
    #expect(bench.send(six(1, 1, false)) == "held")
  }

  @Test func firstFragmentWithoutTransportHeaderPasses() {
    var bench = Bench()
    #expect(bench.send(six(0, 0, false)) == "unchanged")
    #expect(bench.send(piece(.ipv6, 0, 16, more: true, next: 6)) == "unchanged")
    #expect(bench.send(piece(.ipv6, 0, 24, more: true, next: 6)) == "held")
    #expect(bench.send(ipv6(next: 44, hex("11000000 000000"))) == "unchanged")
    #expect(bench.send(ipv6(next: 44, hex("11000011 000000"))) == "truncatedHeader")
    #expect(bench.send(ipv6(next: 44, hex("110000"))) == "truncatedHeader")
  }

  @Test func longest() {
    for (last, answer) in [(5535, "complete"), (5536, "beyondMaximum")] {
      var bench = Bench()
      #expect(bench.send(piece(.ipv6, 0, 60_000, more: true)) == "held")
      #expect(bench.send(piece(.ipv6, 60_000, last, more: false)) == answer)
    }
    let options = hex("2c00 0104 00000000")
    for (last, answer) in [(5527, "complete"), (5528, "tooLong")] {
      var bench = Bench()
      for (offset, length) in [(0, 60_000), (60_000, last)] {
        let bytes = piece(
          .ipv6, offset, length, more: offset == 0, before: options, firstHeader: 60)
        let expected = offset == 0 ? "held" : answer
        #expect(bench.send(bytes) == expected)
      }
    }
  }

  @Test func unfragmentablePartIsTheFirstFragments() {
    var bench = Bench()
    let first = piece(
      .ipv6, 0, 16, more: true,
      before: hex("2b00 0104 00000000 2c02 0000 00000000")
        + [UInt8](repeating: 0, count: 16), firstHeader: 0)
    _ = bench.send(piece(.ipv6, 16, 8, more: false, hopLimit: 9, next: 6))
    #expect(bench.send(first) == "complete")
    #expect(bench.packet.array.starts(with: hex("6000 0000 0038 00 40")))
    #expect(bench.packet.array[40..<52] == hex("2b00 0104 00000000 1102 0000")[...])
    #expect(bench.info?.payloadOffset == 72)
  }

  @Test func interfaceCountsForScopedAddresses() {
    for (destination, apart) in [("fe80::9", true), ("ff02::9", true), ("2001:db8::9", false)] {
      var bench = Bench()
      func fragment(_ unit: Int, more: Bool) -> [UInt8] {
        let bytes = six(unit, 1, more)
        return Array(bytes[..<24]) + ipv6(next: 0, [], destination: address(destination))[24...]
          + bytes[40...]
      }
      _ = bench.send(fragment(0, more: true), interface: 1)
      let answer = bench.send(fragment(1, more: false), interface: 2)
      #expect(answer == (apart ? "held" : "complete"))
    }
  }
}

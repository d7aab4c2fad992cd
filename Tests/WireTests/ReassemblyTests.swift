// Reassembly, case by case as Linux 6.18 answered. A fragment is written by its first unit of 8 bytes,
// how many there are, and whether more follow.

import Testing
import Wire

private func octets(_ text: String) -> [UInt8] {
  let digits = text.compactMap(\.hexDigitValue)
  return stride(from: 0, to: digits.count, by: 2).map { UInt8(digits[$0] * 16 + digits[$0 + 1]) }
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
      var bench = ReassemblyBench()
      let answers = bench.send(all: order.map { pieces[$0] })
      #expect(answers == ["held", "held", "complete"])
      #expect(bench.units == [0, 1, 2, 3])
      #expect(
        bench.bytes.starts(with: octets("450000340007 0000 4011 7ca7 c0000201 cb007109")))
      #expect(bench.info?.maxFragmentSize == 36)
      #expect(bench.info?.dontFragment == false)
      #expect(bench.info?.dataOffset == 20)
      #expect(bench.info?.sizes.count == 3)
      #expect(bench.reassembler.waiting == 0)
    }
  }

  @Test func wholePacketsPass() {
    var bench = ReassemblyBench()
    #expect(bench.send(wholePacket(8)) == "passed")
    #expect(bench.send(wholePacket(8, dontFragment: true)) == "passed")
  }

  @Test func duplicates() {
    var bench = ReassemblyBench()
    #expect(
      bench.send(all: [
        four(0, 3, true), four(0, 3, true, fill: 0xee), four(1, 1, true, fill: 0xee),
      ])
        == ["held", "duplicate", "duplicate"])
    #expect(bench.send(four(3, 1, false)) == "complete")
    #expect(bench.units == [0, 1, 2, 3])
  }

  @Test func duplicateOfSeveralInARow() {
    var bench = ReassemblyBench()
    #expect(
      bench.send(all: [four(0, 1, true), four(1, 1, true), four(2, 1, true), four(0, 3, true)])
        == ["held", "held", "held", "duplicate"])
    // Out of order, the same bytes stand in separate runs: overlap.
    bench = ReassemblyBench()
    #expect(
      bench.send(all: [four(0, 1, true), four(2, 1, true), four(1, 1, true), four(0, 3, true)])
        == ["held", "held", "held", "overlap"])
    #expect(bench.reassembler.waiting == 0)
  }

  @Test func overlapDropsAll() {
    var bench = ReassemblyBench()
    #expect(
      bench.send(all: [
        four(0, 2, true), four(1, 2, true), four(3, 2, false), four(2, 1, true), four(0, 2, true),
      ]) == ["held", "overlap", "held", "held", "complete"])
    #expect(bench.units == [0, 1, 2, 3, 4])
  }

  @Test func lengthsThatAreNoMultipleOf8AreCut() {
    var bench = ReassemblyBench()
    #expect(bench.send(piece(.ipv4, 0, 13, more: true)) == "held")
    #expect(bench.send(four(1, 1, false)) == "complete")
    #expect(bench.units == [0, 1])
    #expect(bench.info?.maxFragmentSize == 28)
    #expect(bench.send(piece(.ipv4, 0, 5, more: true)) == "badLength")
    #expect(bench.send(piece(.ipv4, 0, 0, more: true)) == "badLength")
  }

  @Test func emptyDropsAll() {
    var bench = ReassemblyBench()
    #expect(
      bench.send(all: [four(0, 1, true), four(1, 0, true), four(1, 1, false)])
        == ["held", "badLength", "held"])
    bench = ReassemblyBench()
    #expect(
      bench.send(all: [four(0, 1, true), four(1, 0, false), four(1, 1, false)])
        == ["held", "badLength", "held"])
  }

  @Test func endsThatDifferDropAll() {
    var bench = ReassemblyBench()
    #expect(
      bench.send(all: [four(0, 3, true), four(1, 1, false), four(3, 1, false)])
        == ["held", "badLength", "held"])
    bench = ReassemblyBench()
    #expect(
      bench.send(all: [four(2, 1, false), four(3, 1, false), four(0, 2, true)])
        == ["held", "badLength", "held"])
    bench = ReassemblyBench()
    #expect(
      bench.send(all: [four(2, 1, false), four(3, 1, true), four(0, 2, true)])
        == ["held", "badLength", "held"])
    // The same end, though it says more will follow: a duplicate.
    bench = ReassemblyBench()
    #expect(
      bench.send(all: [four(2, 1, false), four(2, 1, true), four(0, 2, true)])
        == ["held", "duplicate", "complete"])
  }

  @Test func longest() {
    for (last, answer) in [(539, "complete"), (540, "tooLong"), (600, "tooLong")] {
      var bench = ReassemblyBench()
      #expect(bench.send(piece(.ipv4, 0, 64_976, more: true)) == "held")
      #expect(bench.send(piece(.ipv4, 64_976, last, more: false)) == answer)
      #expect(bench.reassembler.waiting == 0)
    }
    // The offset field reaches further than any packet can.
    var bench = ReassemblyBench()
    #expect(bench.send(piece(.ipv4, 65_528, 1400, more: false)) == "held")
  }

  @Test func headerIsTheFirstFragments() {
    var bench = ReassemblyBench()
    let options = octets("94040000 44040500")
    _ = bench.send(piece(.ipv4, 16, 8, more: false, hopLimit: 9))
    #expect(
      bench.send(piece(.ipv4, 0, 16, more: true, hopLimit: 50, before: options)) == "complete")
    #expect(
      bench.bytes.starts(
        with: octets("470000340007 0000 3211 ab9e c0000201 cb007109 94040000 44040500")))
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
    var bench = ReassemblyBench()
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
        var bench = ReassemblyBench()
        _ = bench.send(piece(family, 0, 16, more: true, trafficClass: 0x10 | first))
        let answer = bench.send(piece(family, 16, 8, more: false, trafficClass: 0x20 | second))
        if let result = expected[Int(first)][Int(second)] {
          #expect(answer == "complete")
          let headers = headersOf(bench.bytes)
          #expect(headers.trafficClass == 0x10 | result)
        } else {
          #expect(answer == "mixedECN")
        }
      }
    }
  }

  @Test func keptApart() {
    var bench = ReassemblyBench()
    _ = bench.send(piece(.ipv4, 0, 8, more: true))
    #expect(bench.send(piece(.ipv4, 8, 8, more: false, id: 8)) == "held")
    #expect(bench.send(piece(.ipv4, 8, 8, more: false, next: 6)) == "held")
    #expect(bench.send(piece(.ipv4, 8, 8, more: false, client: 2)) == "held")
    #expect(bench.send(piece(.ipv4, 8, 8, more: false), user: 1) == "held")
    #expect(bench.reassembler.waiting == 5)
    #expect(bench.send(piece(.ipv4, 8, 8, more: false)) == "complete")
  }

  @Test(arguments: [(63, "complete"), (64, "held")])
  func distance(_ others: UInt32, _ answer: String) {
    var bench = ReassemblyBench()
    #expect(bench.send(piece(.ipv4, 0, 16, more: true)) == "held")
    for other in 0..<others { _ = bench.send(piece(.ipv4, 0, 16, more: true, id: 100 + other)) }
    #expect(bench.send(piece(.ipv4, 16, 8, more: false)) == answer)
    if answer == "held" { #expect(bench.send(piece(.ipv4, 0, 16, more: true)) == "complete") }
  }

  @Test func duplicatesAreNoDistance() {
    var bench = ReassemblyBench()
    for _ in 0..<100 { _ = bench.send(four(0, 2, true)) }
    #expect(bench.send(four(2, 1, false)) == "complete")
  }
}

@Suite struct ReassemblyIPv6Tests {
  @Test func fragmentHeaderGoes() {
    for reversed in [false, true] {
      var bench = ReassemblyBench()
      let pieces = [six(0, 2, true), six(2, 1, false)]
      let answers = bench.send(all: reversed ? pieces.reversed() : pieces)
      #expect(answers == ["held", "complete"])
      #expect(bench.bytes.starts(with: octets("6000 0000 0018 11 40")))
      #expect(bench.bytes.count == 64)
      #expect(bench.units == [0, 1, 2])
      #expect(bench.info?.maxFragmentSize == 64)
    }
  }

  @Test func atomic() {
    var bench = ReassemblyBench()
    #expect(bench.send(six(0, 2, false)) == "complete")
    #expect(bench.bytes.starts(with: octets("6000 0000 0010 11 40")))
    // Linux takes it for a fragment among others.
    #expect(bench.send(six(0, 2, true)) == "held")
    #expect(bench.send(six(0, 2, false)) == "duplicate")
    #expect(bench.send(six(2, 1, false)) == "badLength")
  }

  @Test func overlapDropsAll() {
    var bench = ReassemblyBench()
    #expect(
      bench.send(all: [
        six(0, 2, true), six(1, 2, true), six(3, 2, false), six(2, 1, true), six(0, 2, true),
      ]) == ["held", "overlap", "held", "held", "complete"])
  }

  @Test func errorsKeepTheRest() {
    var bench = ReassemblyBench()
    #expect(
      bench.send(all: [six(0, 3, true), six(1, 1, false), six(3, 1, false)])
        == ["held", "badLength", "complete"])
    bench = ReassemblyBench()
    #expect(
      bench.send(all: [six(2, 1, false), six(3, 1, false), six(3, 1, true), six(0, 2, true)])
        == ["held", "badLength", "badLength", "complete"])
    bench = ReassemblyBench()
    #expect(
      bench.send(all: [six(0, 1, true), six(1, 0, true), six(1, 1, false)])
        == ["held", "badLength", "complete"])
    // An empty last fragment still says where the packet ends.
    bench = ReassemblyBench()
    #expect(
      bench.send(all: [six(0, 1, true), six(1, 0, false), six(1, 1, false)])
        == ["held", "badLength", "badLength"])
  }

  @Test func lengthsThatAreNoMultipleOf8PassAndDropTheRest() {
    var bench = ReassemblyBench()
    #expect(bench.send(six(0, 1, true)) == "held")
    #expect(bench.send(piece(.ipv6, 8, 13, more: true)) == "passed")
    #expect(bench.send(six(1, 1, false)) == "held")
  }

  @Test func firstFragmentWithoutTransportHeaderPasses() {
    var bench = ReassemblyBench()
    #expect(bench.send(six(0, 0, false)) == "passed")
    #expect(bench.send(piece(.ipv6, 0, 16, more: true, next: 6)) == "passed")
    #expect(bench.send(piece(.ipv6, 0, 24, more: true, next: 6)) == "held")
    #expect(bench.send(ipv6Packet(44, octets("11000000 000000"))) == "passed")
    #expect(bench.send(ipv6Packet(44, octets("11000011 000000"))) == "malformed")
    #expect(bench.send(ipv6Packet(44, octets("110000"))) == "malformed")
  }

  @Test func longest() {
    for (last, answer) in [(5535, "complete"), (5536, "tooLong")] {
      var bench = ReassemblyBench()
      #expect(bench.send(piece(.ipv6, 0, 60_000, more: true)) == "held")
      #expect(bench.send(piece(.ipv6, 60_000, last, more: false)) == answer)
    }
    let options = octets("2c00 0104 00000000")
    for (last, answer) in [(5527, "complete"), (5528, "tooLong")] {
      var bench = ReassemblyBench()
      for (offset, length) in [(0, 60_000), (60_000, last)] {
        let bytes = piece(
          .ipv6, offset, length, more: offset == 0, before: options, firstHeader: 60)
        let expected = offset == 0 ? "held" : answer
        #expect(bench.send(bytes) == expected)
      }
    }
  }

  @Test func unfragmentablePartIsTheFirstFragments() {
    var bench = ReassemblyBench()
    let first = piece(
      .ipv6, 0, 16, more: true,
      before: octets("2b00 0104 00000000 2c02 0000 00000000")
        + [UInt8](repeating: 0, count: 16), firstHeader: 0)
    _ = bench.send(piece(.ipv6, 16, 8, more: false, hopLimit: 9, next: 6))
    #expect(bench.send(first) == "complete")
    #expect(bench.bytes.starts(with: octets("6000 0000 0038 00 40")))
    #expect(bench.bytes[40..<52] == octets("2b00 0104 00000000 1102 0000")[...])
    #expect(bench.info?.dataOffset == 72)
  }
}

// Checksums against slow and obvious ones, and against known values.

import Testing
import Wire

/// RFC 1071 as one would write it first.
private func plainSum(_ bytes: [UInt8]) -> UInt16 {
  var sum = 0
  for (index, byte) in bytes.enumerated() {
    sum += index % 2 == 0 ? Int(byte) << 8 : Int(byte)
    if sum > 0xffff { sum -= 0xffff }
  }
  return UInt16(sum)
}

/// What `transportIsValid` says of a packet; nil when it does not decode.
private func transportIsValid(_ bytes: [UInt8]) -> Bool? {
  guard case .success(let headers) = decode(bytes) else { return nil }
  return InternetChecksum.transportIsValid(bytes.span.octets, headers: headers)
}

@Suite struct ChecksumTests {
  @Test func knownHeader() {
    let header = hex("4500 0073 0000 4000 4011 b861 c0a8 0001 c0a8 00c7")
    #expect(InternetChecksum.fold(InternetChecksum.sum(header.span.octets)) == 0xffff)
    let isValid = InternetChecksum.ipv4HeaderIsValid(header.span.octets, at: 0, length: 20)
    #expect(isValid)
  }

  @Test func anyLengthAndOffset() {
    var random = SplitMix64(seed: 1)
    for length in 0..<200 {
      let bytes = random.bytes(length + 3)
      for start in 0..<3 {
        let part = Array(bytes[start..<start + length])
        let sum = InternetChecksum.sum(bytes.span.octets, from: start, to: start + length)
        // 0 and 0xffff are the same number here; only an empty or zero sum gives 0.
        let expected = plainSum(part)
        let found = InternetChecksum.fold(sum)
        #expect(found == expected || found == 0xffff && expected == 0, "length \(length)")
      }
    }
  }

  @Test func allOnesAndZeros() {
    let ones = [UInt8](repeating: 0xff, count: 65_535)
    #expect(InternetChecksum.fold(InternetChecksum.sum(ones.span.octets)) == 0xff00)
    let zeros = [UInt8](repeating: 0, count: 100)
    #expect(InternetChecksum.fold(InternetChecksum.sum(zeros.span.octets)) == 0)
  }

  @Test func sumsOfPartsAdd() {
    var random = SplitMix64(seed: 2)
    let bytes = random.bytes(1001)
    let whole = InternetChecksum.sum(bytes.span.octets)
    for cut in stride(from: 0, through: 1000, by: 2) {
      let first = InternetChecksum.sum(bytes.span.octets, from: 0, to: cut)
      let both = InternetChecksum.sum(bytes.span.octets, from: cut, to: 1001, initial: first)
      #expect(InternetChecksum.fold(both) == InternetChecksum.fold(whole))
    }
  }

  @Test func incrementalUpdateAgreesWithFresh() {
    var random = SplitMix64(seed: 3)
    for _ in 0..<10_000 {
      var bytes = random.bytes(40)
      let before = InternetChecksum.checksum(InternetChecksum.sum(bytes.span.octets))
      let at = random.below(20) * 2
      let old = UInt16(bytes[at]) << 8 | UInt16(bytes[at + 1])
      let new = UInt16(truncatingIfNeeded: random.next())
      bytes[at] = UInt8(new >> 8)
      bytes[at + 1] = UInt8(new & 0xff)
      let fresh = InternetChecksum.checksum(InternetChecksum.sum(bytes.span.octets))
      #expect(InternetChecksum.updated(before, from: old, to: new) == fresh)
    }
  }

  @Test func incrementalUpdateOfAddresses() {
    var random = SplitMix64(seed: 4)
    for family in AddressFamily.allCases {
      for _ in 0..<2000 {
        let old = IPAddress(
          high: family == .ipv6 ? random.next() : 0,
          low: family == .ipv6 ? random.next() : random.next() >> 32)
        let new = IPAddress(
          high: family == .ipv6 ? random.next() : 0,
          low: family == .ipv6 ? random.next() : random.next() >> 32)
        let ports: UInt64 = random.next() & 0xffff_ffff
        func fresh(_ address: IPAddress) -> UInt16 {
          InternetChecksum.checksum(
            InternetChecksum.pseudoHeader(
              source: address, destination: server4, transportProtocol: 6, length: 20)
              + ports)
        }
        #expect(InternetChecksum.updated(fresh(old), from: old, to: new) == fresh(new))
        if family == .ipv4 {
          #expect(
            InternetChecksum.updated(fresh(old), from: old.ipv4, to: new.ipv4) == fresh(new))
        }
      }
    }
  }

  /// The kernel's equation never leaves 0xffff, whatever it is given.
  @Test func updateNeverGivesAllOnes() {
    for old: UInt16 in [0, 1, 0x8000, 0xfffe, 0xffff] {
      for new: UInt16 in [0, 1, 0x7fff, 0xfffe, 0xffff] {
        for checksum: UInt16 in [0, 1, 0xfffe, 0xffff] {
          #expect(InternetChecksum.updated(checksum, from: old, to: new) != 0xffff)
        }
      }
    }
  }

  @Test func timeToLive() {
    var random = SplitMix64(seed: 5)
    for _ in 0..<5000 {
      var header = hex("4500 0014 0000 0000 0011 0000 c0a8 0001 c0a8 00c7")
      header[8] = UInt8(1 + random.below(255))
      header[4] = UInt8(random.below(256))
      header[5] = UInt8(random.below(256))
      var packet = PacketBuffer(withHeaderChecksum(header))
      packet.decrementIPv4TimeToLive()
      #expect(packet.uint8(at: 8) == header[8] - 1)
      let changed = packet.array
      #expect(changed == withHeaderChecksum(changed))
    }
  }

  @Test(arguments: AddressFamily.allCases) func transports(_ family: AddressFamily) {
    var random = SplitMix64(seed: 6)
    var packet = PacketBuffer()
    for length in [0, 1, 2, 7, 8, 31, 1000] {
      let payload = random.bytes(length)
      for kind in 0..<3 {
        let data = payload.span.octets
        let built =
          switch kind {
          case 0:
            packet.buildTCP(fields(family), TCPFields(.syn, from: 1, to: 2), payload: data)
          case 1:
            packet.buildUDP(fields(family), from: 1, to: 2, payload: data)
          default:
            packet.buildICMP(fields(family), type: 8, code: 0, rest: 65_538, payload: data)
          }
        #expect(built)
        #expect(transportIsValid(packet.array) == true)
        guard case .success(let headers) = decode(packet.array) else { return }
        let at = headers.transportOffset + random.below(headers.end - headers.transportOffset)
        packet.store8(packet.uint8(at: at) ^ 0x10, at: at)
        #expect(transportIsValid(packet.array) == false)
      }
    }
  }

  /// What 6.18 calls valid: UDP without checksum in both families, and the length of the IP
  /// payload in the pseudo header though the UDP header says less.
  @Test(arguments: AddressFamily.allCases) func udpAsTheKernelChecksIt(
    _ family: AddressFamily
  ) {
    var packet = PacketBuffer(udp(family))
    guard case .success(let headers) = decode(packet.array) else { return }
    packet.store16(0, at: headers.transportOffset + UDPField.checksum)
    #expect(transportIsValid(packet.array) == true)

    // A datagram right by its own length, with four bytes behind it.
    var longer = udp(family, payload: [1, 2, 3, 4]) + [0, 0, 0, 0]
    if family == .ipv4 {
      longer[3] += 4
      longer = withHeaderChecksum(longer)
    } else {
      longer[5] += 4
    }
    #expect(transportIsValid(longer) == false)
  }

  /// 6.18 puts UDP's number into UDP-Lite's pseudo header.
  @Test func udpLiteAsTheKernelChecksIt() {
    for (coverage, valid) in [
      (0, true), (1, false), (7, false), (8, true), (9, true), (16, true), (17, false),
    ] {
      var segment: [UInt8] = [0, 7, 0, 8, 0, UInt8(coverage), 0, 0] + Array("abcdefgh".utf8)
      let covered = coverage == 0 ? 16 : min(coverage, 16)
      let pseudo = InternetChecksum.pseudoHeader(
        source: client4, destination: server4, transportProtocol: 17, length: 16)
      let sum = InternetChecksum.sum(
        segment.span.octets, from: 0, to: covered, initial: pseudo)
      let checksum = InternetChecksum.checksum(sum)
      segment[6] = UInt8(checksum >> 8)
      segment[7] = UInt8(checksum & 0xff)
      var packet = PacketBuffer()
      let built = packet.buildIP(
        fields(.ipv4), transportProtocol: IPProtocolNumber.udpLite,
        payload: segment.span.octets)
      #expect(built)
      #expect(transportIsValid(packet.array) == valid, "coverage \(coverage)")
    }
  }
}

@Suite struct CRC32cTests {
  /// RFC 3720 appendix B.4.
  @Test func knownValues() {
    let digits = Array("123456789".utf8)
    #expect(CRC32c.checksum(digits.span.octets, from: 0, to: 9) == 0xe306_9283)
    let zeros = [UInt8](repeating: 0, count: 32)
    #expect(CRC32c.checksum(zeros.span.octets, from: 0, to: 32) == 0x8a91_36aa)
    let ones = [UInt8](repeating: 0xff, count: 32)
    #expect(CRC32c.checksum(ones.span.octets, from: 0, to: 32) == 0x62a8_ab43)
    let rising = (0..<32).map { UInt8($0) }
    #expect(CRC32c.checksum(rising.span.octets, from: 0, to: 32) == 0x46dd_794e)
  }

  @Test func sctpChecksumIsFoundAndChecked() {
    var random = SplitMix64(seed: 7)
    for length in [12, 13, 16, 27, 100] {
      var packet = PacketBuffer(random.bytes(length))
      let checksum = CRC32c.sctp(packet.bytes, at: 0, end: length)
      packet.store32(checksum.byteSwapped, at: SCTPField.checksum)
      let right = CRC32c.sctpIsValid(packet.bytes, at: 0, end: length)
      packet.store8(packet.uint8(at: length - 1) ^ 1, at: length - 1)
      let wrong = CRC32c.sctpIsValid(packet.bytes, at: 0, end: length)
      #expect(right && !wrong)
    }
    let short = CRC32c.sctpIsValid(PacketBuffer([0]).bytes, at: 0, end: 1)
    #expect(!short)
  }
}

// The internet checksum against RFC examples, kernel-made packets and a plain sum of words; updated
// checksums against recomputed ones; CRC32c against published vectors.

import Testing
import Wire

@Suite struct ChecksumTests {
  /// The sum the slow way: RFC 1071 word by word.
  private func plain(_ bytes: [UInt8]) -> UInt16 {
    var sum: UInt32 = 0
    for index in stride(from: 0, to: bytes.count, by: 2) {
      sum += UInt32(bytes[index]) << 8 | UInt32(index + 1 < bytes.count ? bytes[index + 1] : 0)
      if sum > 0xffff { sum = sum & 0xffff + 1 }
    }
    return UInt16(sum)
  }

  @Test func exampleOfRFC1071() {
    let bytes = hex("0001 f203 f4f5 f6f7")
    #expect(InternetChecksum.fold(read(bytes) { InternetChecksum.sum($0) }) == 0xddf2)
    #expect(InternetChecksum.checksum(read(bytes) { InternetChecksum.sum($0) }) == 0x220d)
  }

  @Test func exampleOfRFC1624() {
    #expect(InternetChecksum.updated(0xdd2f, from: 0x5555 as UInt16, to: 0x3285) == 0)
  }

  @Test func everyLengthAndStart() {
    var generator = SeededGenerator(seed: 1)
    let bytes = generator.bytes(80)
    for start in 0..<20 {
      for end in start...80 {
        let sum = InternetChecksum.sum(bytes.rawSpan, from: start, to: end)
        #expect(InternetChecksum.fold(sum) == plain(Array(bytes[start..<end])), "\(start)..<\(end)")
      }
    }
  }

  @Test func allOnes() {
    let bytes = Array(repeating: UInt8(0xff), count: 65_535)
    let sum = InternetChecksum.sum(bytes.rawSpan, initial: 0xffff_ffff_0000)
    #expect(InternetChecksum.fold(sum) == 0xff00)
    #expect(InternetChecksum.fold(.max) == 0xffff)
    #expect(InternetChecksum.fold(0) == 0)
    #expect(read([]) { InternetChecksum.sum($0) } == 0)
  }

  @Test func partsAdd() {
    let bytes = hex("fffe 0102 0304 0506 ffff 07")
    let whole = InternetChecksum.sum(bytes.rawSpan)
    let head = InternetChecksum.sum(bytes.rawSpan, from: 0, to: 4)
    let both = InternetChecksum.sum(bytes.rawSpan, from: 4, to: bytes.count, initial: head)
    #expect(InternetChecksum.fold(whole) == InternetChecksum.fold(both))
  }

  @Test func udpNeverSendsZero() {
    #expect(InternetChecksum.udp(0) == 0xffff)
    #expect(InternetChecksum.udp(1) == 1)
  }

  // MARK: - Updates

  @Test func updatedAsRecomputed() {
    var generator = SeededGenerator(seed: 3)
    for number in 0..<20_000 {
      var bytes = generator.bytes(24)
      if number % 3 == 0 { bytes = bytes.map { $0 & 1 == 0 ? 0 : 0xff } }
      // A word that never changes and is not zero: without one the sum of nothing has two forms.
      bytes[0] = 1
      let before = InternetChecksum.checksum(InternetChecksum.sum(bytes.rawSpan))
      let new = generator.next() % 5 == 0 ? 0 : generator.next()
      let span = bytes.rawSpan
      let old16 = span.uint16(at: 4)
      let old32 = span.uint32(at: 8)
      let old128 = span.ipv6Address(at: 8)
      let new128 = IPAddress(high: new, low: ~new &+ UInt64(number))
      let after16 = recomputed(bytes, UInt64(UInt16(truncatingIfNeeded: new)), 2, at: 4)
      let after32 = recomputed(bytes, UInt64(UInt32(truncatingIfNeeded: new)), 4, at: 8)
      let half = with(bytes, bigEndian(new128.high, 8), at: 8)
      let after128 = recomputed(half, new128.low, 8, at: 16)
      #expect(
        InternetChecksum.updated(before, from: old16, to: UInt16(truncatingIfNeeded: new))
          == after16, "number \(number)")
      #expect(
        InternetChecksum.updated(before, from: old32, to: UInt32(truncatingIfNeeded: new))
          == after32, "number \(number)")
      #expect(
        InternetChecksum.updated(before, from: old128, to: new128) == after128, "number \(number)")
    }
  }

  /// Where the sum would be of nothing at all, the kernel's arithmetic gives 0 and not 0xffff.
  @Test func neverAllOnes() {
    let ones = IPAddress(high: .max, low: .max)
    #expect(InternetChecksum.updated(0xffff, from: 0xffff as UInt16, to: 0) == 0)
    #expect(InternetChecksum.updated(0xffff, from: 0xffff_ffff as UInt32, to: 0) == 0)
    #expect(InternetChecksum.updated(0xffff, from: ones, to: .any) == 0)
    #expect(InternetChecksum.updated(0xffff, from: 0 as UInt16, to: 0) == 0)
  }

  @Test func updatedByAnIPv4Address() {
    let old = IPAddress(ipv4: 0xc000_0201)
    let new = IPAddress(ipv4: 0xc633_6402)
    #expect(
      InternetChecksum.updated(0x1234, from: old, to: new)
        == InternetChecksum.updated(0x1234, from: old.ipv4, to: new.ipv4))
    #expect(InternetChecksum.updated(0x1234, from: old, to: old) == 0x1234)
  }

  private func bigEndian(_ value: UInt64, _ count: Int) -> [UInt8] {
    (0..<count).map { UInt8(truncatingIfNeeded: value >> UInt64(8 * (count - 1 - $0))) }
  }

  private func recomputed(_ bytes: [UInt8], _ value: UInt64, _ count: Int, at offset: Int)
    -> UInt16
  {
    let changed = with(bytes, bigEndian(value, count), at: offset)
    return InternetChecksum.checksum(InternetChecksum.sum(changed.rawSpan))
  }

  // MARK: - Transport

  private func isValid(_ packet: [UInt8]) throws -> Bool {
    let headers = try decode(packet).get()
    return InternetChecksum.transportIsValid(packet.rawSpan, headers: headers)
  }

  @Test(arguments: KernelMade.all)
  func kernelMadePacketsAreValid(_ packet: [UInt8]) throws {
    #expect(try isValid(packet))
  }

  @Test(arguments: KernelMade.all)
  func aChangedBitIsFound(_ packet: [UInt8]) throws {
    let headers = try decode(packet).get()
    var generator = SeededGenerator(seed: 4)
    for _ in 0..<50 {
      let at = Int.random(in: headers.transportOffset..<packet.count, using: &generator)
      let changed = with(packet, [packet[at] ^ 1 << UInt8(generator.next() % 8)], at: at)
      #expect(try !isValid(changed), "byte \(at)")
    }
  }

  @Test func linkPaddingDoesNotCount() throws {
    #expect(try isValid(KernelMade.udp + hex("dead beef")))
    #expect(try isValid(KernelMade.udp6 + hex("01")))
  }

  @Test func udpWithoutChecksum() throws {
    #expect(try isValid(with(KernelMade.udp, [0, 0], at: 26)))
    #expect(try isValid(with(KernelMade.udp6, [0, 0], at: 46)))
  }

  @Test func udpSumsTheWholePayload() throws {
    // The UDP header says two bytes less, the sum is over all: right, as Linux has it.
    let packet = PacketBuilder.udp(from: "192.0.2.1:1", to: "192.0.2.2:2", payload: [1, 2, 3, 4])
    let shorter = with(packet, [0, 10], at: 24)
    let checksum = InternetChecksum.updated(
      shorter.rawSpan.uint16(at: 26), from: 12 as UInt16, to: 10)
    let summed = with(shorter, [UInt8(checksum >> 8), UInt8(checksum & 0xff)], at: 26)
    #expect(try isValid(summed))
  }

  @Test func tooShort() throws {
    for (number, length) in [
      (IPProtocolNumber.tcp, 19), (IPProtocolNumber.udp, 7), (IPProtocolNumber.udpLite, 7),
      (IPProtocolNumber.icmp, 3),
    ] {
      let packet = PacketBuilder.ip(
        from: "192.0.2.1", to: "192.0.2.2", transportProtocol: number,
        payload: Array(repeating: 0, count: length))
      #expect(try !isValid(packet), "protocol \(number)")
    }
    let short6 = PacketBuilder.ip(
      from: "2001:db8::1", to: "2001:db8::2", transportProtocol: IPProtocolNumber.icmpv6,
      payload: [0, 0, 0])
    #expect(try !isValid(short6))
  }

  @Test func otherProtocolsHaveNone() throws {
    for number in [IPProtocolNumber.gre, IPProtocolNumber.icmpv6, IPProtocolNumber.sctp, 253] {
      let packet = PacketBuilder.ip(
        from: "192.0.2.1", to: "192.0.2.2", transportProtocol: number, payload: [1])
      #expect(try isValid(packet), "protocol \(number)")
    }
  }

  /// Linux 6.18 sums UDP-Lite with UDP's number in the pseudo header.
  @Test(arguments: [(0, 12, true), (8, 8, true), (12, 12, true), (7, 12, false), (13, 12, false)])
  func udpLite(_ coverage: UInt8, _ covered: Int, _ valid: Bool) throws {
    let source: Endpoint = "192.0.2.1"
    let destination: Endpoint = "192.0.2.2"
    var payload = hex("0001 0002 0000 0000 01020304")
    payload[5] = coverage
    let pseudo = InternetChecksum.pseudoHeader(
      source: source.address, destination: destination.address,
      transportProtocol: IPProtocolNumber.udp, length: 12)
    let checksum = InternetChecksum.checksum(
      InternetChecksum.sum(payload.rawSpan, from: 0, to: covered, initial: pseudo))
    payload = with(payload, [UInt8(checksum >> 8), UInt8(checksum & 0xff)], at: 6)
    let packet = PacketBuilder.ip(
      from: source, to: destination, transportProtocol: IPProtocolNumber.udpLite, payload: payload)
    #expect(try isValid(packet) == valid)
    // Without a checksum: never valid.
    #expect(try !isValid(with(packet, [0, 0], at: 26)))
  }

  /// Of the length in IPv4's pseudo header only the lower byte, in IPv6's all.
  @Test(
    arguments: [
      ("192.0.2.1", "192.0.2.2", 4, true), ("192.0.2.1", "192.0.2.2", 260, false),
      ("2001:db8::1", "2001:db8::2", 260, true), ("2001:db8::1", "2001:db8::2", 4, false),
    ] as [(Endpoint, Endpoint, Int, Bool)])
  func udpLiteLength(
    _ source: Endpoint, _ destination: Endpoint, _ counted: Int, _ valid: Bool
  ) throws {
    var payload = hex("0001 0002 0008 0000") + Array(repeating: 9, count: 252)
    let pseudo = InternetChecksum.pseudoHeader(
      source: source.address, destination: destination.address,
      transportProtocol: IPProtocolNumber.udp, length: counted)
    let checksum = InternetChecksum.checksum(
      InternetChecksum.sum(payload.rawSpan, from: 0, to: 8, initial: pseudo))
    payload = with(payload, [UInt8(checksum >> 8), UInt8(checksum & 0xff)], at: 6)
    let packet = PacketBuilder.ip(
      from: source, to: destination, transportProtocol: IPProtocolNumber.udpLite, payload: payload)
    #expect(try isValid(packet) == valid)
  }

  // MARK: - CRC32c

  /// RFC 3720 appendix B.4 and the check value of the catalogue of CRCs.
  @Test func crc32cVectors() {
    func crc(_ bytes: [UInt8]) -> UInt32 {
      CRC32c.checksum(bytes.rawSpan, from: 0, to: bytes.count)
    }
    #expect(crc(Array("123456789".utf8)) == 0xe306_9283)
    #expect(crc(Array(repeating: 0, count: 32)) == 0x8a91_36aa)
    #expect(crc(Array(repeating: 0xff, count: 32)) == 0x62a8_ab43)
    #expect(crc(Array(0..<32)) == 0x46dd_794e)
    #expect(crc((0..<32).reversed()) == 0x113f_db5c)
    #expect(crc([]) == 0)
  }

  @Test func crc32cInParts() {
    var generator = SeededGenerator(seed: 5)
    let bytes = generator.bytes(100)
    let whole = CRC32c.checksum(bytes.rawSpan, from: 3, to: 100)
    for cut in 3...100 {
      let register = CRC32c.update(.max, bytes.rawSpan, from: 3, to: cut)
      let rest = CRC32c.update(register, bytes.rawSpan, from: cut, to: 100)
      #expect(~rest == whole)
    }
  }

  @Test func sctp() {
    var bytes = hex("0b590b5a 01020304 00000000 01000005 aabbccdd ee000000")
    let checksum = CRC32c.checksum(bytes.rawSpan, from: 0, to: bytes.count)
    #expect(read(bytes) { CRC32c.sctp($0, at: 0, end: bytes.count) } == checksum)
    #expect(!read(bytes) { CRC32c.sctpIsValid($0, at: 0, end: bytes.count) })
    for index in 0..<4 {
      bytes[8 + index] = UInt8(truncatingIfNeeded: checksum >> UInt32(8 * index))
    }
    #expect(read(bytes) { CRC32c.sctpIsValid($0, at: 0, end: bytes.count) })
    #expect(!read(bytes) { CRC32c.sctpIsValid($0, at: 0, end: 11) })
    bytes[20] ^= 1
    #expect(!read(bytes) { CRC32c.sctpIsValid($0, at: 0, end: bytes.count) })
  }
}

// Addresses as text: fixed examples, and on Linux the C library's inet_ntop and inet_pton by the
// thousand.

import Testing
import Wire

#if canImport(Glibc)
  import Glibc
#endif

@Suite struct AddressTextTests {
  @Test(arguments: [
    ("0.0.0.0", 0), ("1.2.3.4", 0x0102_0304), ("10.100.9.255", 0x0a64_09ff),
    ("255.255.255.255", UInt32.max),
  ])
  func ipv4(_ text: String, _ value: UInt32) throws {
    #expect(IPAddress(ipv4: value).text(.ipv4) == text)
    let (address, family) = try #require(IPAddress.parse(text))
    #expect(address == IPAddress(ipv4: value) && family == .ipv4)
  }

  @Test(
    arguments: [
      ("::", 0, 0), ("::1", 0, 1), ("1::", 1 << 48, 0), ("2001:db8::1", 0x2001_0db8_0000_0000, 1),
      ("::1.2.3.4", 0, 0x0102_0304), ("::ffff:1.2.3.4", 0, 0xffff_0102_0304),
      ("::0.1.0.0", 0, 0x0001_0000), ("::ffff", 0, 0xffff), ("::ffff:0.0.0.0", 0, 0xffff_0000_0000),
      ("::ffff:0:1:2", 0, 0xffff_0000_0001_0002),
      ("1:2:3:4:5:6:7:8", 0x0001_0002_0003_0004, 0x0005_0006_0007_0008),
      // One zero group is written out; of two equal runs the first is shortened.
      ("1:0:3:4:5:6:7:8", 0x0001_0000_0003_0004, 0x0005_0006_0007_0008),
      ("1::4:0:0:7:8", 0x0001_0000_0000_0004, 0x0000_0000_0007_0008),
      ("1:0:0:4::8", 0x0001_0000_0000_0004, 0x0000_0000_0000_0008),
      ("fe80::abcd:ef01:2345:6789", 0xfe80_0000_0000_0000, 0xabcd_ef01_2345_6789),
      ("64:ff9b::c000:201", 0x0064_ff9b_0000_0000, 0xc000_0201),
    ] as [(String, UInt64, UInt64)])
  func ipv6(_ text: String, _ high: UInt64, _ low: UInt64) throws {
    let address = IPAddress(high: high, low: low)
    #expect(address.text(.ipv6) == text)
    let (read, family) = try #require(IPAddress.parse(text))
    #expect(read == address && family == .ipv6)
  }

  @Test(arguments: [
    "", ".", ":", "1", "1.2.3", "1.2.3.4.5", "1.2.3.256", "01.2.3.4", "1.2.3.04", "1..3.4",
    "1.2.3.",
    ".1.2.3.4", "1.2.3.4 ", " 1.2.3.4", "1.2.3.a", "+1.2.3.4", "1.2.3.4/32", "1.2.3.-4",
    "0x1.2.3.4",
    ":::", "1:", ":1", "1:2", "1::2::3", "::1::", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "12345::",
    "::12345", "g::", "::g", "fe80::1%eth0", "::1/128", "1:2:3:4:5:6:7:8::", "::1:2:3:4:5:6:7:8",
    "1:2:3:4::5:6:7:8", "::1.2.3", "::1.2.3.4.5", "::1.2.3.256", "::1.2.3.4:5",
    "1:2:3:4:5:6:7:1.2.3.4",
    "1.2.3.4::", "::01.2.3.4", "[::1]", "::1 ", "１.2.3.4", "::\u{e9}", "1.2.3.4\0", "::1\0",
    "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.2555", "0000:0000:0000:0000:0000:0000:0000:00001",
  ])
  func refused(_ text: String) {
    #expect(IPAddress.parse(text) == nil)
    #expect(IPAddress.parse(utf8: Array(text.utf8).span) == nil)
  }

  @Test(arguments: [
    ("ABCD:ef01::", "abcd:ef01::"), ("0001:0:0:0:0:0:0:0002", "1::2"),
    ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"), ("::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"),
    ("1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"), ("1::1.2.3.4", "1::102:304"),
    ("0:0:0:0:0:0:0:0", "::"), ("0::0", "::"),
    ("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
  ])
  func longerForms(_ text: String, _ short: String) throws {
    let (address, family) = try #require(IPAddress.parse(text))
    #expect(family == .ipv6 && address.text(.ipv6) == short)
  }

  @Test func knownFamily() {
    #expect(IPAddress.parse("1.2.3.4", .ipv4) == IPAddress(ipv4: 0x0102_0304))
    #expect(IPAddress.parse("1.2.3.4", .ipv6) == nil)
    #expect(IPAddress.parse("::1", .ipv4) == nil)
    #expect(
      IPAddress.parse("a ::1 b".split(separator: " ")[1], .ipv6) == IPAddress(high: 0, low: 1))
  }

  @Test func appends() {
    var buffer = Array("src=".utf8)
    IPAddress(ipv4: 0x0102_0304).appendText(.ipv4, to: &buffer)
    buffer += " dst=".utf8
    IPAddress(high: 0, low: 1).appendText(.ipv6, to: &buffer)
    #expect(String(decoding: buffer, as: UTF8.self) == "src=1.2.3.4 dst=::1")
  }

  @Test func groups() {
    let address = IPAddress(high: 0x0001_0002_0003_0004, low: 0x0005_0006_0007_fff8)
    #expect((0..<8).map(address.group) == [1, 2, 3, 4, 5, 6, 7, 0xfff8])
  }

  @Test func endpoints() {
    #expect(Endpoint("192.0.2.1:80") == Endpoint(IPAddress(ipv4: 0xc000_0201), .ipv4, port: 80))
    #expect(Endpoint("192.0.2.1") == Endpoint(IPAddress(ipv4: 0xc000_0201), .ipv4))
    #expect(Endpoint("[::1]:65535") == Endpoint(IPAddress(high: 0, low: 1), .ipv6, port: 65_535))
    #expect(Endpoint("::1:80") == Endpoint(IPAddress(high: 0, low: 0x1_0080), .ipv6))
    for text in [
      "", ":80", "192.0.2.1:", "192.0.2.1:65536", "192.0.2.1:-1", "192.0.2.1:+1", "[192.0.2.1]:80",
      "[::1]", "[::1]80", "::1]:80", "[::1:80", "host:80", "1:2:3:4:5:6:7:8:80",
    ] {
      #expect(Endpoint(text) == nil, "\(text)")
    }
    for text in ["192.0.2.1:80", "192.0.2.1", "[2001:db8::1]:53", "2001:db8::1"] {
      #expect(Endpoint(text)?.text == text)
    }
  }

  @Test func thereAndBack() {
    var generator = SeededGenerator(seed: 11)
    for number in 0..<5_000 {
      for family in AddressFamily.allCases {
        let address = generator.address(family)
        let text = address.text(family)
        #expect(IPAddress.parse(text, family) == address, "number \(number): \(text)")
      }
    }
  }

  #if canImport(Glibc)
    /// What the C library says of a text; nil when it refuses it.
    private func libraryParse(_ text: String, _ family: AddressFamily) -> IPAddress? {
      if text.utf8.contains(0) { return nil }
      var bytes = [UInt8](repeating: 0, count: 16)
      // inet_pton writes 4 or 16 bytes, for which there is room.
      let result = unsafe inet_pton(Int32(family.rawValue), text, &bytes)
      guard result == 1 else { return nil }
      let span = bytes.rawSpan
      return family == .ipv4 ? IPAddress(ipv4: span.uint32(at: 0)) : span.ipv6Address(at: 0)
    }

    private func libraryText(_ address: IPAddress, _ family: AddressFamily) -> String {
      var bytes = [UInt8](repeating: 0, count: 16)
      for index in 0..<16 {
        let half = index < 8 ? address.high : address.low
        bytes[index] = UInt8(truncatingIfNeeded: half >> UInt64(56 - 8 * (index & 7)))
      }
      if family == .ipv4 { bytes.removeFirst(12) }
      var text = [CChar](repeating: 0, count: 64)
      // It writes 46 bytes at most, into 64.
      let written = unsafe inet_ntop(Int32(family.rawValue), bytes, &text, 64) != nil
      precondition(written)
      return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    @Test func asInetNtop() {
      var generator = SeededGenerator(seed: 12)
      for number in 0..<10_000 {
        for family in AddressFamily.allCases {
          let address = generator.address(family)
          #expect(address.text(family) == libraryText(address, family), "number \(number)")
        }
      }
    }

    @Test func asInetPton() {
      var generator = SeededGenerator(seed: 13)
      let alphabet = Array("0123456789abcdefABCDEF::::....xg /%".utf8)
      for number in 0..<30_000 {
        let family: AddressFamily = generator.next() % 3 == 0 ? .ipv4 : .ipv6
        var text = Array(generator.address(family).text(family).utf8)
        for _ in 0..<generator.next() % 4 {
          let at = Int.random(in: 0...text.count, using: &generator)
          let byte = alphabet.randomElement(using: &generator)!
          switch generator.next() % 3 {
          case 0: text.insert(byte, at: at)
          case 1 where at < text.count: text.remove(at: at)
          case 2 where at < text.count: text[at] = byte
          default: break
          }
        }
        let string = String(decoding: text, as: UTF8.self)
        let parsed = IPAddress.parse(utf8: text.span)
        for family in AddressFamily.allCases {
          let ours = parsed?.family == family ? parsed?.address : nil
          #expect(ours == libraryParse(string, family), "number \(number): \(string)")
        }
      }
    }
  #endif
}

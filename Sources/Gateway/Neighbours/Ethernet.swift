// Ethernet's header and addresses, as the packet port writes them.

#if os(Linux)
  import Wire

  enum Ethernet {
    static let headerLength = 14
    static let ipv4: UInt16 = 0x0800
    static let arp: UInt16 = 0x0806
    static let ipv6: UInt16 = 0x86dd
    static let broadcast: UInt64 = 0xffff_ffff_ffff

    /// Destination, source, type.
    static func write(
      _ header: inout MutableRawSpan, to destination: UInt64, from source: UInt64, _ type: UInt16
    ) {
      header.store16(UInt16(truncatingIfNeeded: destination >> 32), at: 0)
      header.store32(UInt32(truncatingIfNeeded: destination), at: 2)
      header.store16(UInt16(truncatingIfNeeded: source >> 32), at: 6)
      header.store32(UInt32(truncatingIfNeeded: source), at: 8)
      header.store16(type, at: 12)
    }

    static func header(to destination: UInt64, from source: UInt64, _ type: UInt16) -> [UInt8] {
      bytes(destination) + bytes(source) + [UInt8(type >> 8), UInt8(truncatingIfNeeded: type)]
    }

    static func bytes(_ address: UInt64) -> [UInt8] {
      (0..<6).map { UInt8(truncatingIfNeeded: address >> (40 - 8 * UInt64($0))) }
    }

    /// The six bytes at `offset`.
    static func address(_ bytes: RawSpan, at offset: Int) -> UInt64 {
      UInt64(bytes.uint16(at: offset)) << 32 | UInt64(bytes.uint32(at: offset + 2))
    }

    /// The group that a multicast address is sent to (RFC 1112 6.4, RFC 2464 7); nil for others.
    static func group(_ address: IPAddress, _ family: AddressFamily) -> UInt64? {
      switch family {
      case .ipv4:
        guard address.ipv4 >> 28 == 0xe else { return nil }
        return 0x0100_5e00_0000 | UInt64(address.ipv4 & 0x7f_ffff)
      case .ipv6:
        guard address.high >> 56 == 0xff else { return nil }
        return 0x3333_0000_0000 | address.low & 0xffff_ffff
      }
    }
  }
#endif

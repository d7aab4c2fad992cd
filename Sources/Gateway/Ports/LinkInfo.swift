// What the system says of one of its interfaces, and the two things a port sets on it: netdevice(7).

#if os(Linux)
  import CLinux
  import Firewall
  import Glibc

  /// An interface of the network namespace this process is in.
  public struct LinkInfo: Sendable, Hashable {
    /// The system's number for it.
    public var index: Int32
    public var flags: InterfaceFlags
    /// Bytes of layer 3.
    public var mtu: Int
    /// The low 48 bits; nil for links without.
    public var macAddress: UInt64?

    public static let longestName = 15

    /// Nil where there is no interface of that name.
    public init?(_ name: String) {
      guard let control = try? LinkInfo.control() else { return nil }
      guard var request = LinkInfo.request(name),
        LinkInfo.ask(control, UInt(SIOCGIFINDEX), &request)
      else { return nil }
      index = request.int32
      guard LinkInfo.ask(control, UInt(SIOCGIFFLAGS), &request) else { return nil }
      flags = InterfaceFlags(rawValue: UInt32(request.uint16))
      guard LinkInfo.ask(control, UInt(SIOCGIFMTU), &request) else { return nil }
      mtu = Int(request.int32)
      guard LinkInfo.ask(control, UInt(SIOCGIFHWADDR), &request) else { return nil }
      // A socket address: its family is the kind of link (1: Ethernet), then the address.
      macAddress =
        request.uint16 == 1
        ? request.bytes[18..<24].reduce(0) { $0 << 8 | UInt64($1) } : nil
    }

    /// An Ethernet interface's number and address.
    /// - Parameter what: the port, for errors.
    static func ethernet(
      _ name: String, _ what: String
    ) throws(SystemError) -> (index: Int32, macAddress: UInt64, mtu: Int, isUp: Bool) {
      guard let link = LinkInfo(name) else { throw SystemError(what, ENODEV) }
      guard let mac = link.macAddress else {
        throw SystemError("\(what) is no Ethernet interface", EINVAL)
      }
      return (link.index, mac, link.mtu, link.flags.contains(.up))
    }

    /// Sets an interface up.
    static func bringUp(_ name: String) throws(SystemError) {
      let control = try control()
      guard var request = request(name), ask(control, UInt(SIOCGIFFLAGS), &request) else {
        throw SystemError(name)
      }
      request.uint16 |= UInt16(IFF_UP)
      guard ask(control, UInt(SIOCSIFFLAGS), &request) else {
        throw SystemError("\(name): setting it up")
      }
    }

    private static func control() throws(SystemError) -> Descriptor {
      try Descriptor(
        socket(AF_INET, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0), "socket")
    }

    private static func ask(
      _ control: borrowing Descriptor, _ number: UInt, _ request: inout InterfaceRequest
    ) -> Bool {
      request.ask(control.number, number) == 0
    }

    private static func request(_ name: String) -> InterfaceRequest? { InterfaceRequest(name) }
  }

  /// `struct ifreq`: a name and one value of the kernel's.
  struct InterfaceRequest {
    private(set) var bytes = [UInt8](repeating: 0, count: 40)

    init?(_ name: String) {
      guard (1...LinkInfo.longestName).contains(name.utf8.count) else { return nil }
      for (place, byte) in name.utf8.enumerated() { bytes[place] = byte }
    }

    /// `ioctl(descriptor, number, self)`.
    mutating func ask(_ descriptor: Int32, _ number: UInt) -> Int32 {
      // The kernel reads and writes a `struct ifreq`, which is 40 bytes, in the array.
      unsafe bytes.withUnsafeMutableBytes { buffer in
        guard let base = buffer.baseAddress else { return -1 }
        return unsafe ioctl(descriptor, number, base)
      }
    }

    /// The value's first two or four bytes, as this machine orders them.
    var uint16: UInt16 {
      get { UInt16(littleEndian: UInt16(bytes[16]) | UInt16(bytes[17]) << 8) }
      set {
        bytes[16] = UInt8(truncatingIfNeeded: newValue.littleEndian)
        bytes[17] = UInt8(truncatingIfNeeded: newValue.littleEndian >> 8)
      }
    }

    var int32: Int32 {
      Int32(littleEndian: (0..<4).reduce(0) { $0 | Int32(bytes[16 + $1]) << (8 * Int32($1)) })
    }

    /// The name, which the kernel may have completed.
    var name: String { String(decoding: bytes.prefix(16).prefix { $0 != 0 }, as: UTF8.self) }
  }
#endif

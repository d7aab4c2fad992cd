// An address with its family and a port, as one writes it: "192.0.2.1:80", "[2001:db8::1]:80". For
// building packets, where a test should read like what it sends.

/// One end of a flow.
@frozen
public struct Endpoint: Hashable, Sendable, BitwiseCopyable {
  public var address: IPAddress
  public var family: AddressFamily
  /// 0 where the protocol has none.
  public var port: UInt16

  @inlinable
  public init(_ address: IPAddress, _ family: AddressFamily, port: UInt16 = 0) {
    self.address = address
    self.family = family
    self.port = port
  }

  /// Reads `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1` or `[2001:db8::1]:80`; nil for anything else.
  public init?(_ text: some StringProtocol) {
    if let (address, family) = IPAddress.parse(text) {
      self.init(address, family)
      return
    }
    guard let colon = text.lastIndex(of: ":"),
      let port = Endpoint.port(text[text.index(after: colon)...])
    else { return nil }
    let host = text[..<colon]
    if host.hasPrefix("["), host.hasSuffix("]") {
      guard let address = IPAddress.parse(host.dropFirst().dropLast(), .ipv6) else { return nil }
      self.init(address, .ipv6, port: port)
    } else {
      guard let address = IPAddress.parse(host, .ipv4) else { return nil }
      self.init(address, .ipv4, port: port)
    }
  }

  /// Digits alone, 65,535 at most.
  private static func port(_ text: some StringProtocol) -> UInt16? {
    guard (1...5).contains(text.utf8.count), text.utf8.allSatisfy({ (48...57).contains($0) })
    else { return nil }
    return UInt16(text)
  }

  /// As `init(_:)` reads it; without the port where that is 0.
  public var text: String {
    let host = address.text(family)
    if port == 0 { return host }
    return family == .ipv4 ? "\(host):\(port)" : "[\(host)]:\(port)"
  }
}

extension Endpoint: ExpressibleByStringLiteral {
  /// Traps on a literal that is no endpoint.
  public init(stringLiteral text: String) {
    guard let endpoint = Endpoint(text) else {
      preconditionFailure("\"\(text)\" is not an address with a port")
    }
    self = endpoint
  }
}

// The numbers of the IP header's protocol (IPv4) and next header (IPv6) fields that anything above
// asks about.

/// IANA's assigned internet protocol numbers, as far as Weir knows them by name.
public enum IPProtocolNumber {
  /// IPv6 hop-by-hop options (RFC 8200 section 4.3); as an IPv4 protocol: reserved.
  public static let hopByHop: UInt8 = 0
  public static let icmp: UInt8 = 1
  public static let igmp: UInt8 = 2
  public static let ipip: UInt8 = 4
  public static let tcp: UInt8 = 6
  public static let udp: UInt8 = 17
  public static let dccp: UInt8 = 33
  public static let ipv6: UInt8 = 41
  /// IPv6 routing header (RFC 8200 section 4.4).
  public static let routing: UInt8 = 43
  /// IPv6 fragment header (RFC 8200 section 4.5).
  public static let fragment: UInt8 = 44
  public static let gre: UInt8 = 47
  public static let esp: UInt8 = 50
  /// Authentication header (RFC 4302); conntrack walks over it in IPv6 only.
  public static let ah: UInt8 = 51
  public static let icmpv6: UInt8 = 58
  /// IPv6 no next header (RFC 8200 section 4.7).
  public static let noNextHeader: UInt8 = 59
  /// IPv6 destination options (RFC 8200 section 4.6).
  public static let destinationOptions: UInt8 = 60
  public static let ospf: UInt8 = 89
  public static let pim: UInt8 = 103
  public static let ipcomp: UInt8 = 108
  public static let vrrp: UInt8 = 112
  public static let l2tp: UInt8 = 115
  public static let sctp: UInt8 = 132
  public static let mobility: UInt8 = 135
  public static let udpLite: UInt8 = 136
  public static let mpls: UInt8 = 137
  public static let raw: UInt8 = 255
}

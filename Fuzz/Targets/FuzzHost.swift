// The machine every fuzz target plays: a router with a network on each side, both families, and rules
// that use as much of the engine as fits.

import Conntrack
import Firewall
import PacketForge
import Ruleset
import Wire

enum FuzzHost {
  /// Small enough that a short input fills the table.
  static let tableLimit: Int64 = 48

  static let interfaces: [HostInterface] = [
    HostInterface(
      name: "lan0", kernelIndex: 2, macAddress: 0x0200_0000_0101, mtu: 1500,
      addresses: [
        address("10.0.1.1", 24, broadcast: "10.0.1.255"), address("fd00:1::1", 64),
        address("fe80::1:1", 64, scope: .link),
      ]),
    HostInterface(
      name: "wan0", kernelIndex: 3, macAddress: 0x0200_0000_0201, mtu: 600,
      addresses: [
        address("198.51.100.1", 24, broadcast: "198.51.100.255"),
        address("198.51.100.9", 24, isSecondary: true), address("2001:db8:9::1", 64),
        address("fe80::2:1", 64, scope: .link),
      ]),
    HostInterface(
      name: "lo", kernelIndex: 1, mtu: 65536, flags: [.up, .loopback],
      addresses: [address("127.0.0.1", 8, scope: .host), address("::1", 128, scope: .host)]),
  ]

  private static func address(
    _ text: String, _ length: Int, broadcast: String? = nil, scope: AddressScope = .global,
    isSecondary: Bool = false
  ) -> InterfaceAddress {
    let address = Address(text)
    return InterfaceAddress(
      address.value, address.family, prefixLength: length,
      broadcast: broadcast.map { Address($0).value }, scope: scope, isSecondary: isSecondary)
  }

  private static func route(
    _ text: String, _ length: Int, _ type: RouteType = .unicast, via gateway: String? = nil,
    _ interface: Int? = nil, mtu: Int? = nil
  ) -> Route {
    let address = Address(text)
    return Route(
      IPPrefix(address.value, length: length, family: address.family), type: type, mtu: mtu,
      hops: type == .unicast
        ? [
          RouteHop(
            interface: interface, gateway: gateway.map { Address($0).value },
            gatewayFamily: address.family)
        ] : [])
  }

  static let configuration = HostConfiguration(
    interfaces: interfaces,
    ipv4Routes: [
      route("10.0.1.0", 24, 0), route("198.51.100.0", 24, 1),
      route("203.0.113.0", 28, .prohibit), route("203.0.113.16", 28, .unreachable),
      route("203.0.113.32", 28, .blackhole),
      route("192.0.2.0", 24, via: "198.51.100.254", 1, mtu: 400),
      route("0.0.0.0", 0, via: "198.51.100.254", 1),
    ],
    ipv6Routes: [
      route("fd00:1::", 64, 0), route("2001:db8:9::", 64, 1), route("fe80::", 64, 0),
      route("2001:db8:bad::", 48, .prohibit), route("::", 0, via: "2001:db8:9::fe", 1),
    ])

  private static func route(_ text: String, _ length: Int, _ interface: Int) -> Route {
    route(text, length, .unicast, via: nil, interface)
  }

  static let ruleset: Ruleset = {
    var ruleset = Ruleset()
    do {
      try ruleset.apply(ipv4Rules, file: "fuzz.v4", family: .ipv4)
      try ruleset.apply(ipv6Rules, file: "fuzz.v6", family: .ipv6)
    } catch {
      fatalError("\(error)")
    }
    return ruleset
  }()

  static let ipv4Rules = """
    *raw
    :PREROUTING ACCEPT [0:0]
    :OUTPUT ACCEPT [0:0]
    -A PREROUTING -p udp -m udp --dport 69 -j CT --notrack
    -A PREROUTING -p tcp -m tcp --dport 21 -j CT --helper ftp
    -A PREROUTING -p udp -m udp --dport 500 -j CT --helper tftp
    -A OUTPUT -p tcp -m tcp --dport 21 -j CT --helper ftp
    -A PREROUTING -p tcp -m tcp --dport 1723 -j CT --helper pptp
    -A PREROUTING -p tcp -m tcp --dport 6667 -j CT --helper irc
    -A PREROUTING -s 192.0.2.66/32 -j DROP
    COMMIT
    *mangle
    :PREROUTING ACCEPT [0:0]
    :INPUT ACCEPT [0:0]
    :FORWARD ACCEPT [0:0]
    :OUTPUT ACCEPT [0:0]
    :POSTROUTING ACCEPT [0:0]
    -A PREROUTING -j CONNMARK --restore-mark
    -A PREROUTING -p tcp -m tcp --dport 22 -j MARK --set-xmark 0x16/0xff
    -A PREROUTING -m connmark --mark 0x7/0xf -j MARK --set-xmark 0x1/0xffffffff
    -A FORWARD -p tcp -m tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu
    -A POSTROUTING -m mark ! --mark 0x0 -j CONNMARK --save-mark
    COMMIT
    *nat
    :PREROUTING ACCEPT [0:0]
    :INPUT ACCEPT [0:0]
    :OUTPUT ACCEPT [0:0]
    :POSTROUTING ACCEPT [0:0]
    -A PREROUTING -i wan0 -p tcp -m tcp --dport 8080:8083 -j DNAT --to-destination 10.0.1.10:80-83
    -A PREROUTING -i wan0 -p tcp -m tcp --dport 21 -j DNAT --to-destination 10.0.1.10
    -A PREROUTING -i wan0 -p udp -m udp --dport 8053 -j DNAT --to-destination 10.0.1.10-10.0.1.12:53
    -A PREROUTING -d 198.51.100.50/32 -j DNAT --to-destination 10.0.1.9
    -A PREROUTING -i lan0 -p udp -m udp --dport 53 -j REDIRECT --to-ports 5353
    -A PREROUTING -i lan0 -p tcp -m tcp --dport 3128 -j REDIRECT --to-ports 3000-3003 --random
    -A OUTPUT -d 192.0.2.80/32 -p tcp -j DNAT --to-destination 10.0.1.10:8000
    -A POSTROUTING -o wan0 -p udp -m udp --sport 2000:2999 -j SNAT --to-source 198.51.100.9:2000-2003
    -A POSTROUTING -o wan0 -p icmp -j SNAT --to-source 198.51.100.20-198.51.100.23 --persistent
    -A POSTROUTING -s 10.0.1.0/24 -o wan0 -j MASQUERADE
    -A POSTROUTING -s 10.0.1.0/24 -d 10.0.1.10/32 -j MASQUERADE --random
    COMMIT
    *filter
    :INPUT DROP [0:0]
    :FORWARD ACCEPT [0:0]
    :OUTPUT ACCEPT [0:0]
    :LOGDROP - [0:0]
    :SERVICES - [0:0]
    -A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
    -A INPUT -i lo -j ACCEPT
    -A INPUT -p icmp -m icmp --icmp-type 8 -m limit --limit 5/sec -j ACCEPT
    -A INPUT -j SERVICES
    -A INPUT -m pkttype --pkt-type broadcast -j DROP
    -A INPUT -p tcp -j REJECT --reject-with tcp-reset
    -A INPUT -j REJECT --reject-with icmp-port-unreachable
    -A FORWARD -m conntrack --ctstate INVALID -j LOGDROP
    -A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -m conntrack --ctdir REPLY -j ACCEPT
    -A FORWARD -p tcp -m multiport --dports 23,25,135:139 -j REJECT --reject-with tcp-reset
    -A FORWARD -p udp -m udp --dport 161 -j REJECT --reject-with icmp-admin-prohibited
    -A FORWARD -m statistic --mode nth --every 13 --packet 0 -j DROP
    -A FORWARD -m length --length 1400:65535 -m ttl --ttl-lt 3 -j DROP
    -A FORWARD -m addrtype --dst-type BROADCAST -j DROP
    -A FORWARD -f -j DROP
    -A FORWARD -p udp -m udp --dport 4444 -j NFQUEUE --queue-num 3
    -A OUTPUT -p tcp -m tcp --dport 25 -j REJECT --reject-with icmp-host-prohibited
    -A LOGDROP -m limit --limit 3/min --limit-burst 2 -j LOG --log-prefix "bad: " --log-tcp-options
    -A LOGDROP -m iprange --src-range 10.0.1.100-10.0.1.200 -j RETURN
    -A LOGDROP -j DROP
    -A SERVICES -p udp -m udp --dport 5353 -j ACCEPT
    -A SERVICES -p tcp -m tcp --dport 22 -m conntrack --ctstate NEW -j ACCEPT
    COMMIT
    """

  static let ipv6Rules = """
    *raw
    :PREROUTING ACCEPT [0:0]
    :OUTPUT ACCEPT [0:0]
    -A PREROUTING -p udp -m udp --dport 69 -j CT --helper tftp
    -A PREROUTING -p tcp -m tcp --dport 21 -j CT --helper ftp
    COMMIT
    *nat
    :PREROUTING ACCEPT [0:0]
    :INPUT ACCEPT [0:0]
    :OUTPUT ACCEPT [0:0]
    :POSTROUTING ACCEPT [0:0]
    -A PREROUTING -i wan0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination [fd00:1::10]:80
    -A PREROUTING -i lan0 -p udp -m udp --dport 53 -j REDIRECT --to-ports 5353
    -A POSTROUTING -o wan0 -p udp -j SNAT --to-source [2001:db8:9::9]:2000-2003
    -A POSTROUTING -s fd00:1::/64 -o wan0 -j MASQUERADE
    COMMIT
    *filter
    :INPUT DROP [0:0]
    :FORWARD DROP [0:0]
    :OUTPUT ACCEPT [0:0]
    -A INPUT -p ipv6-icmp -j ACCEPT
    -A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
    -A INPUT -p tcp -j REJECT --reject-with tcp-reset
    -A INPUT -j REJECT --reject-with icmp6-adm-prohibited
    -A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
    -A FORWARD -i lan0 -p tcp -m tcp --dport 23 -j REJECT --reject-with tcp-reset
    -A FORWARD -i lan0 -j ACCEPT
    -A FORWARD -p tcp -m tcp --dport 80 -j ACCEPT
    -A FORWARD -m hl --hl-lt 5 -j DROP
    -A FORWARD -j REJECT --reject-with icmp6-no-route
    COMMIT
    """

  static func settings() -> ConntrackSettings {
    var settings = ConntrackSettings()
    settings.max = tableLimit
    settings.buckets = tableLimit
    settings.acct = 1
    settings.timestamp = 1
    settings.expectMax = 6
    return settings
  }

  static func firewall(seed: UInt64) -> Firewall {
    do {
      return try Firewall(
        ruleset: ruleset, host: configuration, settings: settings(), seed: seed)
    } catch {
      fatalError("the fuzz ruleset does not compile: \(error)")
    }
  }
}

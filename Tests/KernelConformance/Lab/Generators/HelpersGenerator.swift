// Connections under helpers: control connections that announce others, in all spellings, whole and
// in part, and the connections announced, with NAT and without.

import Conntrack
import Wire

enum HelpersGenerator {
  enum Kind { case ftp, tftp, pptp, irc }

  /// - Parameter kind: the only helper that is to have work; nil: any.
  static func make(
    _ chooser: inout Chooser, _ family: AddressFamily, _ kind: Kind? = nil
  ) -> ConformanceCase {
    var test = ConformanceCase()
    test.rules = rules(&chooser, family)
    if chooser.chance(20) {
      test.sysctls.append(
        ConformanceCase.Sysctl(name: "net.netfilter.nf_conntrack_acct", value: "1"))
    }
    if chooser.chance(5) {
      test.sysctls.append(
        ConformanceCase.Sysctl(name: "net.netfilter.nf_conntrack_tcp_be_liberal", value: "1"))
    }
    if chooser.chance(8) {
      // Wrong checksums are believed, and put right in what is written anew.
      test.sysctls.append(
        ConformanceCase.Sysctl(name: "net.netfilter.nf_conntrack_checksum", value: "0"))
    }
    defer {
      for at in test.steps.indices where chooser.chance(2) {
        switch test.steps[at].kind {
        case .tcp(var tcp):
          tcp.hasBadChecksum = true
          test.steps[at].kind = .tcp(tcp)
        case .udp(var udp):
          udp.checksum = chooser.of([.bad, .absent])
          test.steps[at].kind = .udp(udp)
        default: break
        }
        if chooser.chance(30) { test.steps[at].hopLimit = chooser.of([1, 2]) }
      }
    }
    let kinds: [Kind] =
      kind.map { [$0] }
      ?? (family == .ipv4 ? [.ftp, .ftp, .tftp, .pptp, .irc] : [.ftp, .ftp, .tftp])
    for _ in 0..<(kind == nil ? chooser.of([1, 2]) : 1) {
      switch chooser.of(kinds) {
      case .ftp: FTPCases.add(to: &test, &chooser, family)
      case .tftp: TFTPCases.add(to: &test, &chooser, family)
      case .pptp: PPTPCases.add(to: &test, &chooser)
      case .irc: IRCCases.add(to: &test, &chooser)
      }
    }
    return test
  }

  private static func rules(_ chooser: inout Chooser, _ family: AddressFamily) -> [String] {
    var rules = [
      "-t raw -A PREROUTING -p tcp -m tcp --dport 21 -j CT --helper ftp",
      "-t raw -A PREROUTING -p udp -m udp --dport 69 -j CT --helper tftp",
    ]
    for port in [2121, 1025] where chooser.chance(10) {
      rules.append("-t raw -A PREROUTING -p tcp -m tcp --dport \(port) -j CT --helper ftp")
    }
    if family == .ipv4 {
      rules.append("-t raw -A PREROUTING -p tcp -m tcp --dport 1723 -j CT --helper pptp")
      rules.append("-t raw -A PREROUTING -p tcp -m tcp --dport 6667 -j CT --helper irc")
    }
    if chooser.chance(10) { rules.append("-t mangle -A PREROUTING -j CONNMARK --set-mark 0x7") }
    if chooser.chance(60) { rules += NATGenerator.helperRules(&chooser, family) }
    if chooser.chance(60) {
      let all = [
        "-m conntrack --ctstate ESTABLISHED -j ACCEPT", "-m conntrack --ctstate RELATED -j ACCEPT",
        "-m conntrack --ctstate NEW -j ACCEPT", "-m conntrack --ctstatus EXPECTED",
        "-m helper --helper ftp", "-m helper ! --helper ftp", "-m helper --helper tftp-69",
        "-m helper --helper pptp", "-p gre -m conntrack --ctstate RELATED",
        "-p tcp -m tcp --dport 1024:1030 -m conntrack --ctstate NEW -j DROP",
        "-m helper --helper ftp -m conntrack --ctstate RELATED -j REJECT",
      ]
      for rule in all where chooser.chance(40) { rules.append("-t filter -A FORWARD \(rule)") }
    }
    return rules
  }
}

extension NATGenerator {
  /// Rules that translate what goes out, what comes in, or both.
  static func helperRules(_ chooser: inout Chooser, _ family: AddressFamily) -> [String] {
    let spare = Network.host(Network.spare[0], .wan, family).text(family)
    let server = Network.host(3, .lan, family).text(family)
    let router = Network.router(.wan, family).text(family)
    let out = chooser.of([
      "-o wan0 -j MASQUERADE", "-o wan0 -j SNAT --to-source \(spare)", "-j MASQUERADE", "",
    ])
    var rules = ["-t nat"]
    if family == .ipv4 && chooser.chance(15) {
      rules.append(
        "-t nat -A POSTROUTING -o wan0 -p tcp -m tcp --dport 1723 -j SNAT --to-source \(spare):7777"
      )
    }
    if !out.isEmpty { rules.append("-t nat -A POSTROUTING \(out)") }
    if out.isEmpty || chooser.chance(40) {
      rules.append(
        "-t nat -A PREROUTING -d \(router) -p tcp -j DNAT --to-destination \(server)")
    }
    return rules
  }
}

/// TFTP: a request, and data from another port.
enum TFTPCases {
  static func add(
    to test: inout ConformanceCase, _ chooser: inout Chooser, _ family: AddressFamily
  ) {
    for _ in 0..<chooser.of([1, 2]) {
      let control = test.flows.count
      let client = Network.host(chooser.number(2...3), .lan, family)
      let server = Network.host(2, .wan, family)
      let port: UInt16 = 3000 + UInt16(control) * 10
      test.flows.append(
        Flow(
          kind: .udp, port: .lan, source: Endpoint(client, family, port: port),
          destination: Endpoint(server, family, port: 69)))
      func packet(_ flow: Int, _ direction: Direction, _ payload: [UInt8]) -> Step {
        var udp = UDPStep()
        udp.payload = payload
        return Step(kind: .udp(udp), flow: flow, direction: direction)
      }
      var steps: [Step] = []
      for _ in 0..<chooser.of([1, 2, 3]) {
        let request: [UInt8] = [0, chooser.of([1, 1, 2, 3, 5])] + Array("f\0octet\0".utf8)
        steps.append(
          packet(
            control, chooser.chance(90) ? .original : .reply,
            Array(request.prefix(chooser.of([10, 10, 2, 1, 0])))))
      }
      // What answers comes from another port to where the request came from, as its sender is known
      // on that side.
      let data = test.flows.count
      let known =
        test.translates
        ? chooser.of([
          Network.router(.wan, family), Network.host(Network.spare[0], .wan, family),
        ]) : client
      test.flows.append(
        Flow(
          kind: .udp, port: .wan,
          source: Endpoint(server, family, port: chooser.of([7000, 69, 7001])),
          destination: Endpoint(known, family, port: port)))
      for number in 0..<chooser.of([1, 3]) {
        let direction: Direction = number == 0 || chooser.chance(50) ? .original : .reply
        steps.append(packet(data, direction, [0, 3, 0, 1, 65]))
      }
      test.steps += steps
    }
  }
}

// A router whose addresses, links and routes change under translated flows: what MASQUERADE forgets, and
// what happens to packets of flows it bound before.

import Conntrack
import Wire

enum NATChangeGenerator {
  /// What a router's far side can be made to do.
  private struct Side {
    let family: AddressFamily
    var isUp = true
    var addresses: Set<Int> = [1, 7, 8]

    var ip: String { family == .ipv4 ? "" : "-6 " }
    var suffix: String { family == .ipv4 ? "/24" : "/64" }
    var noDAD: String { family == .ipv4 ? "" : " nodad" }
    var gateway: String { Network.host(254, .wan, family).text(family) }

    func address(_ number: Int) -> String {
      Network.host(number, .wan, family).text(family) + suffix
    }

    /// Commands that make the change, one step each.
    mutating func change(_ chooser: inout Chooser) -> [String] {
      if !isUp {
        isUp = true
        // IPv6 has lost its addresses.
        let back =
          family == .ipv6 ? addresses.sorted().map { "addr add \(address($0)) dev wan0 nodad" } : []
        return ["link set wan0 up"] + back + ["\(ip)route replace default via \(gateway)"]
      }
      switch chooser.number(0...99) {
      case ..<25:
        isUp = false
        return ["link set wan0 down"]
      case ..<60:
        guard addresses.count > 1,
          let gone = addresses.sorted().randomElement(using: &chooser.random)
        else { return [] }
        // The first of a network takes the others with it; made the last, it goes alone.
        if family == .ipv4 && gone == addresses.min() { return [] }
        addresses.remove(gone)
        return ["addr del \(address(gone)) dev wan0"]
      case ..<80:
        let new = chooser.number(5...9)
        guard !addresses.contains(new), new > addresses.min() ?? 0 else { return [] }
        addresses.insert(new)
        return ["addr add \(address(new)) dev wan0\(noDAD)"]
      case ..<90:
        let inside = Network.host(254, .lan, family).text(family)
        return ["\(ip)route replace default via \(chooser.of([inside, gateway]))"]
      default:
        guard family == .ipv4 else { return [] }
        // All of them, and one anew.
        let all = addresses.sorted().reversed().map { "addr del \(address($0)) dev wan0" }
        addresses = [1]
        return all + ["addr add \(address(1)) dev wan0", "route replace default via \(gateway)"]
      }
    }
  }

  static func make(_ chooser: inout Chooser, _ family: AddressFamily) -> ConformanceCase {
    var test = ConformanceCase()
    var side = Side(family: family)
    for number in side.addresses.sorted() where number != 1 {
      test.setup.append("addr add \(side.address(number)) dev wan0\(side.noDAD)")
    }
    let fixed = Network.host(chooser.of([1, 7, 50]), .wan, family).text(family)
    if chooser.chance(50) {
      test.rules.append(
        "-t nat -A POSTROUTING -o wan0 -p udp -m udp --dport 53 -j SNAT --to-source \(fixed)")
    }
    if chooser.chance(30) {
      test.rules.append(
        "-t nat -A PREROUTING -i wan0 -p tcp -j DNAT --to-destination "
          + Network.host(6, .lan, family).text(family))
    }
    test.rules.append(
      "-t nat -A POSTROUTING -o wan0 -j \(chooser.of(["MASQUERADE", "MASQUERADE --random"]))")
    if chooser.chance(20) { test.rules.append("-t nat -A POSTROUTING -o lan0 -j MASQUERADE") }
    for _ in 0..<chooser.of([3, 6]) {
      var flow = Flow.make(&chooser, chooser.of([.udp, .udp, .tcp, .echo]), family, port: .lan)
      if flow.kind == .udp { flow.destination.port = chooser.of([53, 54]) }
      test.flows.append(flow)
    }
    var conversations: [Int: TCPConversation] = [:]
    for index in test.flows.indices where test.flows[index].kind == .tcp {
      conversations[index] = TCPConversation(&chooser, flow: index)
    }
    func packets(_ chooser: inout Chooser) {
      for _ in 0..<chooser.of([4, 8]) {
        let index = chooser.number(0...test.flows.count - 1)
        var step: Step
        switch test.flows[index].kind {
        case .tcp:
          let next: Step? =
            switch chooser.number(0...3) {
            case 0: conversations[index]?.open(.original, .syn)
            case 1: conversations[index]?.open(.reply, [.syn, .ack])
            case 2: conversations[index]?.acknowledge(.original)
            default: conversations[index]?.data(.original, 100)
            }
          guard let next else { continue }
          step = next
        case .echo: step = DatagramGenerator.echoStep(&chooser, flow: index)
        default: step = DatagramGenerator.udpStep(&chooser, flow: index)
        }
        // Over a link that is down nothing comes.
        if !side.isUp && step.direction == .reply { continue }
        test.steps.append(step)
      }
    }
    for _ in 0..<chooser.of([2, 4]) {
      packets(&chooser)
      for words in side.change(&chooser) { test.steps.append(Step(kind: .change(words))) }
    }
    packets(&chooser)
    return test
  }
}

// Fuzz target (c): any text as a ruleset. What is accepted must print as text that is accepted again
// and prints the same, must compile, and must decide over packets.

import Firewall
import PacketForge
import Ruleset
import Wire

extension FuzzTarget {
  static func runRuleset(_ bytes: [UInt8]) -> UInt64 {
    let text = String(decoding: bytes, as: UTF8.self)
    var digest: UInt64 = 0
    for family in [AddressFamily.ipv4, .ipv6] {
      for ignoreUnsupported in [false, true] {
        do {
          let options = ParseOptions(ignoreUnsupported: ignoreUnsupported)
          let ruleset = try Ruleset(
            parsing: text, file: "fuzz", family: family, options: options)
          digest = digest &* 31 &+ check(ruleset)
          break
        } catch {
          let message = "\(error)"
          if !message.hasPrefix("fuzz:") { fatalError("an error without its place: \(message)") }
          digest = digest &* 31 &+ UInt64(message.utf8.count)
          guard error.isUnsupported else { break }
        }
      }
    }
    return digest
  }

  private static func check(_ ruleset: Ruleset) -> UInt64 {
    var digest: UInt64 = 0
    for family in [AddressFamily.ipv4, .ipv6] {
      let saved = ruleset[family].saveText(counters: true)
      do {
        let again = try Ruleset(parsing: saved, file: "saved", family: family)
        let savedAgain = again[family].saveText(counters: true)
        if savedAgain != saved {
          fatalError("printed and read again it is another:\n\(saved)\n----\n\(savedAgain)")
        }
      } catch {
        fatalError("what is printed is not accepted: \(error)\n\(saved)")
      }
      digest = digest &* 31 &+ UInt64(saved.utf8.count)
    }
    do {
      var firewall = try Firewall(
        ruleset: ruleset, host: FuzzHost.configuration, settings: FuzzHost.settings(), seed: 1)
      let lan = firewall.interface(named: "lan0")
      var buffer = PacketBuffer()
      for (number, packet) in samples.enumerated() {
        _ = buffer.assign(packet.bytes.rawSpan)
        let arrival = Arrival(
          interface: lan, family: packet.family,
          timeNanoseconds: 1_700_000_000_000_000_000 + Int64(number) * 1_000_000)
        var sink = CheckingSink()
        sink.arrived = packet
        sink.arrivedRight = packet.transportChecksumIsRight
        var observer = CountingObserver()
        let outcome = firewall.receive(&buffer, arrival, to: &sink, observer: &observer)
        digest = digest &* 31 &+ UInt64(outcome.verdict.rawValue)
      }
    } catch {
      fatalError("accepted but does not compile: \(error)")
    }
    return digest
  }

  private static let samples: [Packet] = {
    var packets: [Packet] = []
    for (near, far, own) in [
      ("10.0.1.2", "198.51.100.2", "10.0.1.1"), ("fd00:1::2", "2001:db8:9::2", "fd00:1::1"),
    ] {
      let (client, server) = tcp(Address(near), 1000, Address(far), 80)
      packets += [client.syn(options: [.mss(1460)]), server.synAck(), client.ack(), client.fin()]
      packets.append(Socket(Address(near), 1000).udp(to: Socket(Address(far), 53)))
      packets.append(Socket(Address(near), 1000).udp(to: Socket(Address(own), 53)))
      packets.append(.echoRequest(from: Address(near), to: Address(far), id: 7))
      packets.append(Packet(99, from: Address(near), to: Address(far), payload: [1, 2, 3]))
    }
    return packets
  }()
}

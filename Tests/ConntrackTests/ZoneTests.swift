// Zones, event masks and timeout policies, as the kernel answered the conformance cases `zone-*`,
// `events-*` and `timeout-policies`.

import Conntrack
import PacketForge
import TestLab
import Testing

@Suite struct ZoneTests {
  private var datagrams: (client: Packet, server: Packet) {
    let (client, server) = (Socket(lan, 1000), Socket(wan, 53))
    return (client.udp(to: server), server.udp(to: client))
  }

  private func template(_ zone: UInt16, _ direction: ZoneDirection = .both) -> TrackingTemplate {
    var template = TrackingTemplate()
    template.zone = TrackingZone(id: zone, direction: direction)
    return template
  }

  @Test func oneTupleInTwoZones() {
    let lab = TrackerLab()
    let (client, server) = datagrams
    #expect(lab.sees(client, template(1)) == "NEW/o")
    #expect(lab.sees(client, template(2)) == "NEW/o")
    #expect(lab.sees(server, template(2)) == "ESTABLISHED/r")
    #expect(lab.sees(server, TrackingTemplate()) == "NEW/o")
    #expect(
      lab.table.map {
        $0.split(separator: " ").filter { $0.hasPrefix("zone") || $0 == "[UNREPLIED]" }
      }
        == [["[UNREPLIED]", "zone=1"], ["zone=2"], ["[UNREPLIED]"]])
  }

  @Test func zoneOfOneDirection() {
    let lab = TrackerLab()
    let (client, server) = datagrams
    #expect(lab.sees(client, template(7, .original)) == "NEW/o")
    // In the reply direction the connection is in zone 0.
    #expect(lab.sees(server, TrackingTemplate()) == "ESTABLISHED/r")
    #expect(lab.sees(client, template(7)) == "ESTABLISHED/o")
  }

  @Test func newestOfSeveralWithOneTuple() {
    let lab = TrackerLab()
    let (client, server) = datagrams
    lab.sees(client, template(5, .reply))
    #expect(lab.sees(server, template(2, .original)) == "NEW/o")
    // Both have this tuple in zone 0: the first as its original, the second as its reply.
    #expect(lab.sees(client, TrackingTemplate()) == "ESTABLISHED/r")
  }

  @Test func masksSayWhetherNotWhat() {
    let lab = TrackerLab()
    let (client, server) = tcp(lan, 1000, wan, 80)
    var template = TrackingTemplate()
    template.events = [.reply, .destroy]
    lab.sees(client.syn(), template)
    #expect(lab.heard().isEmpty)
    lab.sees(server.synAck(), template)
    #expect(lab.heard().map { $0.contains(" 60 SYN_RECV ") } == [true])
    lab.sees(client.ack(), template)
    #expect(lab.heard().isEmpty)
  }

  @Test func eventsOff() {
    let lab = TrackerLab { $0.events = 0 }
    let client = datagrams.client
    lab.sees(client, TrackingTemplate())
    #expect(lab.heard().isEmpty)
    var template = self.template(4)
    template.events = .new
    lab.sees(client, template)
    #expect(lab.heard().count == 1)
  }

  @Test func policiesReplaceTheSysctls() throws {
    var policy = try #require(TimeoutPolicy(name: "p", family: .ipv4, protocolNumber: 17))
    let isSet = policy.set("REPLIED", nanoseconds: 900_000_000_000)
    let isRefused = !policy.set("ESTABLISHED", nanoseconds: 1)
    #expect(isSet && isRefused)
    let lab = TrackerLab(policies: [policy]) { $0.udpTimeout = 40_000_000_000 }
    let (client, server) = datagrams
    var template = TrackingTemplate()
    template.timeoutPolicy = 1
    lab.sees(client, template)
    #expect(lab.entry == "40 [UNREPLIED]")
    lab.sees(server, TrackingTemplate())
    lab.wait(3)
    lab.sees(client, TrackingTemplate())
    #expect(lab.entry == "900 [ASSURED]")
  }

  @Test func whichRulesAPolicyFits() throws {
    let generic = try #require(TimeoutPolicy(name: "g", family: .ipv4, protocolNumber: 255))
    #expect(generic.fits(99, .ipv4))
    #expect(!generic.fits(6, .ipv4))
    #expect(!generic.fits(99, .ipv6))
    #expect(TimeoutPolicy(name: "i", family: .ipv6, protocolNumber: 1) == nil)
  }
}

// iptables' words on their way to a gateway: what goes in comes out, and what cannot be one is refused.

import TableControl
import Testing

@Suite struct IptablesRequestTests {
  private func again(_ request: IptablesRequest) throws -> IptablesRequest {
    let sent = ControlFrame(.iptables) { $0.put(request) }
    var frames = ControlFrameReader(longest: ControlFrame.longestRequest)
    frames.append(sent.bytes)
    let frame = try #require(try frames.next())
    #expect(frame.kind == .iptables)
    var reader = ByteReader(frame.body[...])
    let read = try reader.iptablesRequest()
    #expect(reader.isAtEnd)
    return read
  }

  @Test func whatGoesInComesOut() throws {
    let request = IptablesRequest(
      program: "ip6tables-restore", arguments: ["-n", "", "--ä"],
      input: String(repeating: "-A FORWARD -j ACCEPT\n", count: 20_000),
      date: "Tue Nov 24 20:17:17 2026")
    #expect(try again(request) == request)
    let bare = IptablesRequest(program: "iptables", arguments: [])
    #expect(try again(bare) == bare)
    // A word longer than a short text may be is not cut.
    let long = IptablesRequest(
      program: "iptables", arguments: [String(repeating: "x", count: 70_000)])
    #expect(try again(long) == long)
  }

  @Test func whatEndsTooSoonIsRefused() {
    let whole = ControlFrame(.iptables) {
      $0.put(
        IptablesRequest(program: "iptables", arguments: ["-S"], input: "x", date: "y"))
    }.body
    for count in 0..<whole.count {
      var reader = ByteReader(whole[..<count])
      #expect(throws: DecodingFailure.self) { try reader.iptablesRequest() }
    }
  }

  @Test func wordsAreCounted() {
    let words = Array(repeating: "-n", count: IptablesRequest.mostArguments + 1)
    let body = ControlFrame(.iptables) {
      $0.put(IptablesRequest(program: "iptables", arguments: words))
    }.body
    var reader = ByteReader(body[...])
    let failure = #expect(throws: DecodingFailure.self) { try reader.iptablesRequest() }
    #expect(failure?.description == "a command of 4097 words")
  }
}

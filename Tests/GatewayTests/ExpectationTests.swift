// `conntrack -I expect` and its like on a gateway and on the kernel's table, where a helper watches the connection:
// each as the other, with a real connection for the master.

#if os(Linux)
  import Foundation
  import Testing

  @Suite(.serialized)
  struct ExpectationTests {
    private func transcript(_ kind: RouterKind) throws -> [String] {
      let lab = try Laboratory(kind)
      let rule = "-t raw -A PREROUTING -p tcp --dport 21 -j CT --helper ftp"
      let control = lab.folder + "/control.sock"
      lab.router(
        kind == .kernel ? "iptables \(rule)" : "\(lab.weir) iptables --control \(control) \(rule)")
      for port in [21, 22] {
        lab.start(
          "s",
          "exec python3 -c \"import socket; s = socket.create_server((\\\"\\\", \(port))); "
            + "c = [s.accept() for _ in range(2)]; input() or s.accept()\" < <(sleep 60)")
      }
      #expect(
        lab.until {
          let listening = lab.server("ss -Hltn").output
          return listening.contains(":21 ") && listening.contains(":22 ")
        })
      var lines: [String] = []
      func conntrack(_ words: String) {
        let result = lab.router(
          "\(lab.weir) conntrack \(kind == .kernel ? "--kernel" : "--control \(control)") \(words)")
        // The order is that of a hash.
        let text = result.output.replacing(#/^\d+ /#.anchorsMatchLineEndings(), with: "")
          .split(separator: "\n").sorted().joined(separator: "\n")
        lines.append("\(words): [\(result.status)] \(text)")
      }
      // From the ports that are named below.
      for (from, to) in [(4000, 21), (4001, 21), (4002, 22)] {
        lab.start(
          "c",
          "exec python3 -c \"import socket, time; s = socket.create_connection((\\\"203.0.113.10\\\", \(to)), "
            + "5, (\\\"\\\", \(from))); time.sleep(60)\"")
        #expect(
          lab.until {
            lab.server("ss -Htn state established").output.contains(":\(from)")
          })
      }
      func expect(
        _ from: Int, _ to: Int, _ source: String, _ mask: String = "255.255.255.255"
      ) {
        conntrack(
          "-I expect -s 192.168.1.5 -d 203.0.113.10 -p tcp --sport \(from) --dport \(to) -t 100 "
            + "--tuple-src \(source) --tuple-dst 5.6.7.8 --tuple-port-src 0 --tuple-port-dst 300 "
            + "--mask-src \(mask) --mask-dst 255.255.255.255 --mask-port-src 0 --mask-port-dst 65535"
        )
      }
      expect(4000, 21, "1.2.3.4")
      conntrack("-L expect")
      expect(4999, 21, "1.2.3.4")
      expect(4999, 21, "1.2.3.9")
      expect(4002, 22, "1.2.3.5")
      expect(4001, 21, "1.2.3.5", "255.255.255.0")
      expect(4001, 21, "1.2.3.5")
      // A second one of a helper that may expect one takes the first one's place.
      expect(4000, 21, "1.2.9.4")
      conntrack("-G expect -s 1.2.9.4 -d 5.6.7.8 -p tcp --sport 0 --dport 300")
      conntrack("-D expect -s 1.2.9.4 -d 5.6.7.8 -p tcp --sport 0 --dport 300")
      conntrack("-L expect")
      conntrack("-L expect -o xml")
      conntrack("-F expect")
      conntrack("-L expect")
      return lines
    }

    @Test func aGatewayExpectsAsTheKernel() throws {
      let kernel = try transcript(.kernel)
      #expect(kernel[0].contains("[0] ") && kernel[1].contains("helper=ftp"), "\(kernel)")
      let packet = try transcript(.packet)
      for (kernel, packet) in zip(kernel, packet) { #expect(packet == kernel) }
    }
  }
#endif

// node-soap: a server and its client in one process, over one HTTP connection that is kept.
import { writeFileSync } from 'node:fs'
import { Agent, createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import soap from 'soap'
import { action, check, namespace, order, serveParent } from '../order.js'

const fields = `<xsd:complexType><xsd:sequence><xsd:element name="id" type="xsd:int"/><xsd:element name="customer" type="xsd:string"/><xsd:element name="lines" type="t:Line" maxOccurs="unbounded"/></xsd:sequence></xsd:complexType>`
const wsdl = (port) => `<?xml version="1.0"?>
<definitions name="Orders" targetNamespace="${namespace}" xmlns="http://schemas.xmlsoap.org/wsdl/" xmlns:t="${namespace}" xmlns:soap="http://schemas.xmlsoap.org/wsdl/soap/" xmlns:xsd="http://www.w3.org/2001/XMLSchema">
<types><xsd:schema targetNamespace="${namespace}" elementFormDefault="qualified">
<xsd:complexType name="Line"><xsd:sequence><xsd:element name="sku" type="xsd:string"/><xsd:element name="quantity" type="xsd:int"/><xsd:element name="note" type="xsd:string"/></xsd:sequence></xsd:complexType>
<xsd:element name="Order">${fields}</xsd:element><xsd:element name="OrderResponse">${fields}</xsd:element></xsd:schema></types>
<message name="In"><part name="p" element="t:Order"/></message><message name="Out"><part name="p" element="t:OrderResponse"/></message>
<portType name="PortType"><operation name="Order"><input message="t:In"/><output message="t:Out"/></operation></portType>
<binding name="Binding" type="t:PortType"><soap:binding style="document" transport="http://schemas.xmlsoap.org/soap/http"/>
<operation name="Order"><soap:operation soapAction="${action}"/><input><soap:body use="literal"/></input><output><soap:body use="literal"/></output></operation></binding>
<service name="Service"><port name="Port" binding="t:Binding"><soap:address location="http://127.0.0.1:${port}/orders"/></port></service></definitions>`

const server = createServer((_, response) => response.end())
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
const { port } = server.address()
soap.listen(server, '/orders', { Service: { Port: { Order: (given) => given } } }, wsdl(port))
const file = join(tmpdir(), `xps-bench-${process.pid}.wsdl`)
writeFileSync(file, wsdl(port))
const client = await soap.createClientAsync(file)
const httpAgent = new Agent({ keepAlive: true, maxSockets: 1 })

serveParent(async () => {
  const [answer] = await client.OrderAsync(order, { httpAgent })
  check({ ...answer, lines: answer.lines.length })
})

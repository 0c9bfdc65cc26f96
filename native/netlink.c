// Messages to the kernel by netlink: made of a head and few attributes, and answered at once.

#include "launch.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

enum { MOST_ERRNO = 4095 }; // the kernel's own bound

void netlink_begin(struct netlink_message *message, unsigned type, unsigned flags, const void *head,
                  size_t length) {
  memset(message, 0, sizeof *message);
  message->head.nlmsg_type = (uint16_t)type;
  message->head.nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags);
  message->head.nlmsg_len = (uint32_t)NLMSG_LENGTH(length);
  memcpy(message->body, head, length);
}

// Room of a message is never short: each is made of few attributes of fixed size.
void *netlink_extend(struct netlink_message *message, size_t length) {
  char *at = (char *)message + NLMSG_ALIGN(message->head.nlmsg_len);
  message->head.nlmsg_len = (uint32_t)(NLMSG_ALIGN(message->head.nlmsg_len) + length);
  return at;
}

void netlink_attribute(struct netlink_message *message, unsigned type, const void *data, size_t length) {
  struct rtattr *attribute = netlink_extend(message, RTA_LENGTH(length));
  attribute->rta_type = (uint16_t)type;
  attribute->rta_len = (uint16_t)RTA_LENGTH(length);
  memcpy(RTA_DATA(attribute), data, length);
}

struct rtattr *netlink_open_nest(struct netlink_message *message, unsigned type) {
  struct rtattr *nest = netlink_extend(message, RTA_LENGTH(0));
  nest->rta_type = (uint16_t)(type | NLA_F_NESTED);
  return nest;
}

void netlink_close_nest(struct netlink_message *message, struct rtattr *nest) {
  nest->rta_len = (uint16_t)((char *)message + message->head.nlmsg_len - (char *)nest);
}

// Sends a message and waits for the kernel's answer, which it gives at once. 0, or -1 with errno.
int netlink_ask(int socket, const struct netlink_message *message) {
  char answer[NETLINK_ROOM];
  if (send(socket, message, message->head.nlmsg_len, 0) < 0) return -1;
  ssize_t got = recv(socket, answer, sizeof answer, 0);
  const struct nlmsghdr *head = (const void *)answer;
  bool is_answer = got >= (ssize_t)NLMSG_LENGTH(sizeof(struct nlmsgerr)) && head->nlmsg_type == NLMSG_ERROR;
  int error = is_answer ? ((const struct nlmsgerr *)NLMSG_DATA(head))->error : -EPROTO;
  errno = error > 0 || error < -MOST_ERRNO ? EPROTO : -error;
  return errno == 0 ? 0 : -1;
}

// Command gitops-diff compares manifests with a cluster as GitOps tools do, by the tools' own libraries.
//
//	gitops-diff KUBECONFIG < requests.json
//
// A request holds a tool (flux-apply, flux-diff, helm-drift, argo-legacy, argo-server or argo-mutations), an object, and the
// JSON pointers that the tool is told to ignore. Its answer says whether the tool sees a difference, which, and what it
// did. Requests and answers are lists of the same length.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

const longestRequest = 5 * time.Minute // on a busy machine

type request struct {
	Tool   string                     `json:"tool"`
	Object *unstructured.Unstructured `json:"object"`
	Ignore []string                   `json:"ignore"`
}

type answer struct {
	// Differs tells whether the tool sees a difference between the manifest and the cluster.
	Differs bool `json:"differs"`
	// Action is what the tool did or would do, in its own words.
	Action string `json:"action,omitempty"`
	// Changes lists the paths that differ.
	Changes []string `json:"changes"`
}

type cluster struct {
	config *rest.Config
	client client.Client
	schema *managedfields.GvkParser // made at the first use
}

type tool func(context.Context, *cluster, request) (answer, error)

var tools = map[string]tool{
	"flux-apply":     fluxApply,
	"flux-diff":      fluxDiff,
	"helm-drift":     helmDrift,
	"argo-legacy":    argoLegacy,
	"argo-server":    argoServer,
	"argo-mutations": argoMutations,
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	if len(arguments) != 1 {
		return fmt.Errorf("give one argument, a kubeconfig")
	}
	log.SetLogger(logr.Discard()) // the library warns of each object that it was not told of
	var asked []request
	if err := json.NewDecoder(os.Stdin).Decode(&asked); err != nil {
		return fmt.Errorf("the requests on stdin are not as expected: %w", err)
	}
	found, err := connect(arguments[0])
	if err != nil {
		return err
	}
	answers := make([]answer, len(asked))
	for number, each := range asked {
		if tools[each.Tool] == nil {
			return fmt.Errorf("unknown tool %q", each.Tool)
		}
		if answers[number], err = tools[each.Tool](context.Background(), found, each); err != nil {
			return fmt.Errorf("%s: %w", each.Tool, err)
		}
	}
	return json.NewEncoder(os.Stdout).Encode(answers)
}

func connect(kubeconfig string) (*cluster, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	config.Timeout = longestRequest
	found, err := client.New(config, client.Options{})
	return &cluster{config: config, client: found}, err
}
